//! The embedded Postgres: started, shared, killed, recovered, refused. Each test has a data folder of its own.
//!
//! Where a test needs an owner that dies, it runs this test program again, as [`owner_process`].

use std::env;
use std::fs::{self, Permissions};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tracedesk::db::embedded::{Embedded, EmbeddedError, Options};

/// Names the data folder to [`owner_process`].
const OWNER_DATA_DIR: &str = "TRACEDESK_TEST_OWNER_DATA_DIR";
/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_new_database_is_private_durable_and_checked() {
    let data = TempDir::new().unwrap();
    let embedded = start(data.path()).await;
    assert!(embedded.is_owner());
    for (setting, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("jit", "off"),
        ("shared_buffers", "128MB"),
        ("max_connections", "100"),
    ] {
        assert_eq!(show(&embedded, setting).await, value, "{setting}");
    }
    // Letters beyond ASCII are letters.
    let upper: String = ask(&embedded, "SELECT upper('größe'), current_database()").await;
    assert_eq!(upper, "GRÖßE");
    let folder = fs::metadata(data.path().join("postgres")).unwrap();
    assert_eq!(folder.mode() & 0o777, 0o700);
    assert_ne!(folder.uid(), 0);
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_leaves_no_process_and_keeps_the_data() {
    let data = TempDir::new().unwrap();
    let embedded = start(data.path()).await;
    let server = server_of(data.path());
    let watchdog = watchdog_of(server);
    remember(&embedded, "kept").await;
    embedded.stop().await.unwrap();
    assert!(!is_running(server));
    assert!(!is_running(watchdog));
    assert!(!data.path().join("postgres/postmaster.pid").exists());

    let again = start(data.path()).await;
    assert_eq!(remembered(&again).await, ["kept"]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_stops_the_server_too() {
    let data = TempDir::new().unwrap();
    let embedded = start(data.path()).await;
    let server = server_of(data.path());
    drop(embedded);
    eventually("the server ends", async || !is_running(server)).await;
}

#[tokio::test]
async fn a_second_comer_is_a_client_and_takes_over_when_the_owner_stops() {
    let data = TempDir::new().unwrap();
    let owner = start(data.path()).await;
    let client = start(data.path()).await;
    assert!(!client.is_owner());
    remember(&client, "by the client").await;
    assert_eq!(remembered(&owner).await, ["by the client"]);

    owner.stop().await.unwrap();
    eventually("the client owns the server", async || client.is_owner()).await;
    assert_eq!(remembered(&client).await, ["by the client"]);
    let server = server_of(data.path());
    client.stop().await.unwrap();
    assert!(!is_running(server));
}

#[tokio::test]
async fn a_client_that_leaves_stops_nothing() {
    let data = TempDir::new().unwrap();
    let owner = start(data.path()).await;
    start(data.path()).await.stop().await.unwrap();
    remember(&owner, "still here").await;
    owner.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_started_again_with_its_data() {
    let data = TempDir::new().unwrap();
    let embedded = start(data.path()).await;
    remember(&embedded, "committed").await;
    let server = server_of(data.path());
    kill(server, Signal::KILL);
    eventually("another server answers", async || {
        can_connect(&embedded).await && server_of(data.path()) != server
    })
    .await;
    assert_eq!(remembered(&embedded).await, ["committed"]);
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_owner_takes_its_server_along_and_the_next_one_finds_the_data() {
    let data = TempDir::new().unwrap();
    let mut owner = OwnerProcess::start(data.path());
    let client = start(data.path()).await;
    assert!(!client.is_owner());
    remember(&client, "before the kill").await;
    let server = server_of(data.path());
    owner.kill();
    eventually("the client owns the server", async || client.is_owner()).await;
    assert_ne!(server_of(data.path()), server);
    assert_eq!(remembered(&client).await, ["before the kill"]);
    client.stop().await.unwrap();
}

#[tokio::test]
async fn killing_everything_at_once_is_recovered_from() {
    let data = TempDir::new().unwrap();
    let mut owner = OwnerProcess::start(data.path());
    let client = start(data.path()).await;
    remember(&client, "before the crash").await;
    client.stop().await.unwrap();
    let server = server_of(data.path());
    kill(watchdog_of(server), Signal::KILL);
    kill(server, Signal::KILL);
    owner.kill();

    let next = start(data.path()).await;
    assert!(next.is_owner());
    assert_eq!(remembered(&next).await, ["before the crash"]);
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_server_that_nobody_collected_is_not_taken_for_a_living_one() {
    let data = TempDir::new().unwrap();
    let embedded = start(data.path()).await;
    remember(&embedded, "kept").await;
    let lock_file = data.path().join("postgres/postmaster.pid");
    let text = fs::read_to_string(&lock_file).unwrap();
    embedded.stop().await.unwrap();

    // Not waited for, so it stays; of the server's user, or Postgres would not care.
    let owner = fs::metadata(data.path().join("postgres")).unwrap();
    let mut dead = Command::new("true");
    if geteuid().is_root() {
        dead.uid(owner.uid()).gid(owner.gid());
    }
    let mut dead = dead.spawn().unwrap();
    let process = Pid::from_child(&dead);
    eventually("the process ends", async || !is_running(process)).await;
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&lock_file, format!("{}\n{rest}", dead.id())).unwrap();

    let again = start(data.path()).await;
    assert_eq!(remembered(&again).await, ["kept"]);
    again.stop().await.unwrap();
    dead.wait().unwrap();
}

#[tokio::test]
async fn a_server_left_running_is_replaced() {
    let data = TempDir::new().unwrap();
    let mut owner = OwnerProcess::start(data.path());
    let client = start(data.path()).await;
    remember(&client, "kept").await;
    client.stop().await.unwrap();
    let server = server_of(data.path());
    kill(watchdog_of(server), Signal::KILL);
    owner.kill();
    assert!(is_running(server));

    let next = start(data.path()).await;
    assert!(next.is_owner());
    assert_ne!(server_of(data.path()), server);
    assert_eq!(remembered(&next).await, ["kept"]);
    next.stop().await.unwrap();
    assert!(!is_running(server));
}

#[tokio::test]
async fn another_major_version_is_refused_with_both_named() {
    let data = TempDir::new().unwrap();
    start(data.path()).await.stop().await.unwrap();
    let version = data.path().join("postgres/PG_VERSION");
    let installed = fs::read_to_string(&version).unwrap();
    fs::write(&version, "9.6\n").unwrap();
    let text = refusal(data.path()).await.to_string();
    assert!(text.contains("is of PostgreSQL 9,"), "{text}");
    assert!(
        text.contains(&format!("PostgreSQL {}", installed.trim())),
        "{text}"
    );
    assert!(
        text.contains("pg_upgrade") && text.contains("dump"),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_crashed_initdb_left_is_cleared_away() {
    let data = TempDir::new().unwrap();
    let scratch = data.path().join("postgres.new");
    fs::create_dir_all(scratch.join("base")).unwrap();
    fs::write(scratch.join("PG_VERSION"), "15\n").unwrap();
    let embedded = start(data.path()).await;
    assert!(!scratch.exists());
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_failing_initdb_leaves_nothing_half_done() {
    let data = TempDir::new().unwrap();
    let broken = broken_initdb();
    let options = Options {
        pg_bin: Some(broken.path().to_path_buf()),
        ..Options::default()
    };
    let refusal = Embedded::start(data.path(), options).await.unwrap_err();
    let text = refusal.to_string();
    assert!(text.contains("No space left on device"), "{text}");
    assert!(text.contains("free space"), "{text}");
    assert!(!data.path().join("postgres").exists());
    assert!(!data.path().join("postgres.new").exists());

    start(data.path()).await.stop().await.unwrap();
}

#[tokio::test]
async fn a_path_longer_than_a_socket_address_works() {
    let data = TempDir::new().unwrap();
    let long = data.path().join("a folder, with \"signs\" ".repeat(8));
    let embedded = start(&long).await;
    remember(&embedded, "far down").await;
    let client = start(&long).await;
    assert_eq!(remembered(&client).await, ["far down"]);
    client.stop().await.unwrap();
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_open_to_the_servers_user_and_one_that_is_not_both_work() {
    for mode in [0o755, 0o700] {
        let data = TempDir::new().unwrap();
        fs::set_permissions(data.path(), Permissions::from_mode(mode)).unwrap();
        let embedded = start(data.path()).await;
        remember(&embedded, "here").await;
        embedded.stop().await.unwrap();
    }
}

#[tokio::test]
async fn folders_that_are_not_ours_are_refused() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("postgres");
    symlink("/etc", &folder).unwrap();
    assert!(matches!(
        refusal(data.path()).await,
        EmbeddedError::NotAFolder(_)
    ));
    fs::remove_file(&folder).unwrap();
    start(data.path()).await.stop().await.unwrap();

    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        refusal(data.path()).await,
        EmbeddedError::NotPrivate(_)
    ));
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();

    fs::remove_file(folder.join("PG_VERSION")).unwrap();
    assert!(matches!(
        refusal(data.path()).await,
        EmbeddedError::NotACluster(_)
    ));
    // Only root can give a folder away.
    if geteuid().is_root() {
        chown(&folder, Some(12_345), None).unwrap();
        let text = refusal(data.path()).await.to_string();
        assert!(
            text.contains("ID 12345") && text.contains("chown"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_folder_without_binaries_is_named() {
    let data = TempDir::new().unwrap();
    let options = Options {
        pg_bin: Some(PathBuf::from("/etc")),
        ..Options::default()
    };
    let refusal = Embedded::start(data.path(), options).await.unwrap_err();
    assert!(refusal.to_string().starts_with("TRACEDESK_PG_BIN is /etc"));
}

#[tokio::test]
async fn an_owner_without_an_answer_is_reported_with_its_process() {
    let data = TempDir::new().unwrap();
    start(data.path()).await.stop().await.unwrap();
    let lock = fs::File::create(data.path().join("postgres.lock")).unwrap();
    lock.lock().unwrap();
    fs::write(data.path().join("postgres.lock"), "4711\n").unwrap();
    let options = Options {
        patience: Duration::ZERO,
        ..Options::default()
    };
    let refusal = Embedded::start(data.path(), options).await.unwrap_err();
    assert!(refusal.to_string().contains("(process 4711)"), "{refusal}");
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_reported_with_its_log() {
    let data = TempDir::new().unwrap();
    start(data.path()).await.stop().await.unwrap();
    break_settings(data.path());
    let text = refusal(data.path()).await.to_string();
    assert!(text.contains("no_such_setting"), "{text}");
    assert!(text.contains("postgres.log"), "{text}");
}

#[tokio::test]
async fn a_server_that_cannot_be_started_again_is_told_to_whoever_waits() {
    let data = TempDir::new().unwrap();
    let mut embedded = start(data.path()).await;
    break_settings(data.path());
    kill(server_of(data.path()), Signal::KILL);
    let text = embedded.wait().await.unwrap_err().to_string();
    assert!(text.contains("no_such_setting"), "{text}");
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn an_ordinary_user_runs_it_as_well_as_root() {
    let data = TempDir::new().unwrap();
    let mut owner = if geteuid().is_root() {
        let nobody = 65_534;
        chown(data.path(), Some(nobody), Some(nobody)).unwrap();
        OwnerProcess::start_as(data.path(), Some(nobody))
    } else {
        OwnerProcess::start(data.path())
    };
    let server = server_of(data.path());
    owner.kill();
    eventually("the server ends", async || !is_running(server)).await;
}

/// Not a test: what [`OwnerProcess`] runs in a process of its own.
#[tokio::test]
#[ignore = "run by the other tests as a process that they can kill"]
async fn owner_process() {
    let Some(data) = env::var_os(OWNER_DATA_DIR) else {
        return;
    };
    let embedded = start(Path::new(&data)).await;
    assert!(embedded.is_owner());
    println!("ready");
    std::future::pending::<()>().await;
}

/// Another process that owns the server.
struct OwnerProcess(Child);

impl OwnerProcess {
    fn start(data: &Path) -> Self {
        Self::start_as(data, None)
    }

    /// Started when this returns; as the given user and group if there is one.
    fn start_as(data: &Path, id: Option<u32>) -> Self {
        // By the process's own link where there is one, since another user may be shut out of the target folder.
        let own_link = Path::new("/proc/self/exe");
        let program = if own_link.exists() {
            own_link.to_path_buf()
        } else {
            env::current_exe().unwrap()
        };
        let mut command = Command::new(program);
        command
            .args([
                "--exact",
                "embedded::owner_process",
                "--ignored",
                "--nocapture",
            ])
            .env(OWNER_DATA_DIR, data)
            .current_dir("/")
            .stdout(Stdio::piped());
        if let Some(id) = id {
            command.uid(id).gid(id);
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let is_ready = output.lines().any(|line| line.unwrap().ends_with("ready"));
        assert!(is_ready, "the owner process did not start");
        // Reading stops here; the process writes nothing more.
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for OwnerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(data: &Path) -> Embedded {
    Embedded::start(data, Options::default()).await.unwrap()
}

async fn refusal(data: &Path) -> EmbeddedError {
    Embedded::start(data, Options::default()).await.unwrap_err()
}

async fn connection(embedded: &Embedded) -> PgConnection {
    embedded.connect_options().connect().await.unwrap()
}

async fn can_connect(embedded: &Embedded) -> bool {
    match embedded.connect_options().connect().await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

async fn ask(embedded: &Embedded, question: &'static str) -> String {
    let mut connection = connection(embedded).await;
    let answer = sqlx::query_scalar(question)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    answer
}

async fn show(embedded: &Embedded, setting: &str) -> String {
    let mut connection = connection(embedded).await;
    let value = sqlx::query_scalar("SELECT current_setting($1)")
        .bind(setting)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    value
}

async fn remember(embedded: &Embedded, text: &str) {
    let mut connection = connection(embedded).await;
    sqlx::query("CREATE TABLE IF NOT EXISTS memory (line text)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("INSERT INTO memory VALUES ($1)")
        .bind(text)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn remembered(embedded: &Embedded) -> Vec<String> {
    let mut connection = connection(embedded).await;
    let lines = sqlx::query_scalar("SELECT line FROM memory")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    lines
}

/// Makes the server's next start fail.
fn break_settings(data: &Path) {
    let settings = data.join("postgres/postgresql.conf");
    let mut text = fs::read_to_string(&settings).unwrap();
    text.push_str("no_such_setting = 1\n");
    fs::write(&settings, text).unwrap();
}

/// Waits for a condition, and fails when it does not come true.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The process of the server that runs, or last ran, on the folder.
fn server_of(data: &Path) -> Pid {
    let file = fs::read_to_string(data.join("postgres/postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap().trim().parse().unwrap();
    Pid::from_raw(pid).unwrap()
}

/// The shell that watches over a server.
fn watchdog_of(server: Pid) -> Pid {
    let pattern = format!("tracedesk-watchdog {} ", server.as_raw_pid());
    let output = Command::new("pgrep")
        .args(["-f", &pattern])
        .output()
        .unwrap();
    let pids = String::from_utf8(output.stdout).unwrap();
    Pid::from_raw(pids.trim().parse().unwrap()).unwrap()
}

/// Whether a process is there and not only waiting to be collected by its parent.
fn is_running(process: Pid) -> bool {
    let status = format!("/proc/{}/stat", process.as_raw_pid());
    match fs::read_to_string(status) {
        Ok(text) => !text.contains(") Z "),
        Err(_) => !cfg!(target_os = "linux") && test_kill_process(process).is_ok(),
    }
}

fn kill(process: Pid, signal: Signal) {
    kill_process(process, signal).unwrap();
}

/// Binaries of which `initdb` writes something and then fails.
fn broken_initdb() -> TempDir {
    let folder = TempDir::new().unwrap();
    let programs = [
        ("postgres", "echo 'postgres (PostgreSQL) 15.0'"),
        (
            "initdb",
            "echo 15 > \"$2/PG_VERSION\"; echo 'could not write: No space left on device' >&2; exit 1",
        ),
    ];
    for (name, script) in programs {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}
