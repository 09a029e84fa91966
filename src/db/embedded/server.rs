//! The server's process: started, waited for, watched over, stopped.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions, Connection};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::Options;
use super::error::EmbeddedError;
use super::find::Binaries;
use super::folder::{DATABASE, Folder, PORT};

/// Until when a starting server may stay silent: the log to replay after a crash is at most about `max_wal_size`, 1 GB
/// by default, which at a slow disk's 5 MB/s takes 200 s.
const START_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a start is repeated while the processes of a killed server still let go of its shared memory; about a
/// second was seen.
const STALE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two such starts.
const STALE_PAUSE: Duration = Duration::from_millis(200);
/// How long one attempt to connect may take on a local socket.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at a server that starts or stops.
pub(super) const POLL: Duration = Duration::from_millis(10);
/// How long a fast shutdown may take, mostly its last checkpoint, before it becomes an immediate one.
const FAST_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an immediate shutdown may take: Postgres itself kills what is left after 5 s.
const IMMEDIATE_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A log longer than this is set aside as `.1` at the next start, so both stay below about twice this.
const LOG_BYTES: u64 = 10 * 1024 * 1024;
/// How much of the log's end an error quotes: five lines of usual length.
const TAIL_LINES: usize = 5;
/// How much of the end is read for that.
const TAIL_BYTES: u64 = 4096;

/// What the server is told on its command line, where it overrules `postgresql.conf`.
const SETTINGS: [&str; 16] = [
    "listen_addresses=",
    // Relative to the cluster's folder, so that its length and its characters do not matter.
    "unix_socket_directories=.",
    "unix_socket_permissions=0700",
    "cluster_name=tracedesk",
    // Durability: what was answered is on disk.
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "wal_compression=on",
    // Our statements are short; compiling one takes longer than running it.
    "jit=off",
    // Starts, stops, crashes. Errors of statements go to tracedesk, which logs them itself, so the log stays small.
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=log",
    "log_checkpoints=off",
    "lc_messages=C",
    "log_timezone=UTC",
    "timezone=UTC",
];

/// Stops the server when its input ends, which is when the process that holds the other end ended, however it did.
/// Unlike Linux's parent-death signal this needs neither Linux nor a thread that outlives the server, and survives the
/// change of user. `postmaster.pid` is compared so that no other process with a reused ID is hit.
const WATCHDOG: &str = r#"read -r end
read -r pid < "$2/postmaster.pid" && [ "$pid" = "$1" ] && kill -INT "$pid""#;

/// A running server that is our child. Dropped without [`Server::stop`], it is shut down by its watchdog.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Holds the pipe whose end it waits for.
    watchdog: Child,
}

impl Server {
    /// Starts the server and waits until it takes connections to [`DATABASE`].
    pub(super) async fn start(
        folder: &Folder,
        binaries: &Binaries,
        options: &Options,
        log: &Path,
    ) -> Result<Self, EmbeddedError> {
        let stale_until = Instant::now() + STALE_TIMEOUT;
        loop {
            folder.forget_zombie()?;
            let logged_before = rotate(log)?;
            let mut server = Self::spawn(folder, binaries, options, log)?;
            match server.wait_ready(folder, log, logged_before).await {
                Err(EmbeddedError::Exited { tail, .. })
                    if is_stale(&tail) && Instant::now() < stale_until =>
                {
                    sleep(STALE_PAUSE).await;
                }
                result => return result.map(|()| server),
            }
        }
    }

    /// Resolves when the server has ended by itself.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Shuts down fast (connections are ended, all is written), or if that takes too long at once (the log is
    /// replayed at the next start).
    pub(super) async fn stop(mut self) -> Result<(), EmbeddedError> {
        let Some(pid) = self.child.id() else {
            return Ok(());
        };
        for (signal, patience) in STOPS {
            // It may have ended by itself in the meantime.
            let _ = send(pid, signal);
            if timeout(patience, self.child.wait()).await.is_ok() {
                // Last, so that a crash of ours in between still stops the server.
                let _ = self.watchdog.kill().await;
                return Ok(());
            }
        }
        Err(EmbeddedError::WontStop(pid))
    }

    fn spawn(
        folder: &Folder,
        binaries: &Binaries,
        options: &Options,
        log: &Path,
    ) -> Result<Self, EmbeddedError> {
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(EmbeddedError::io("open", log))?;
        let program = binaries.postgres();
        let mut command = folder.command(&program);
        command.args(["-p", &PORT.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let child = command
            .args([
                "-c",
                &format!("shared_buffers={}MB", options.shared_buffers_mb),
            ])
            .args([
                "-c",
                &format!("max_connections={}", options.max_connections),
            ])
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(EmbeddedError::io("run", program))?;
        let watchdog = watch(child.id().unwrap_or_default(), folder.path())?;
        Ok(Self { child, watchdog })
    }

    /// Waits until the database can be used, creating it the first time.
    async fn wait_ready(
        &mut self,
        folder: &Folder,
        log: &Path,
        logged_before: u64,
    ) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Ok(Some(_)) = self.child.try_wait() {
                let _ = self.watchdog.kill().await;
                return Err(EmbeddedError::Exited {
                    log: log.to_path_buf(),
                    tail: tail(log, logged_before),
                });
            }
            let failure = match probe(folder, DATABASE).await {
                Ok(()) => return Ok(()),
                Err(error) if is_missing_database(&error) => {
                    return create_database(folder)
                        .await
                        .map_err(EmbeddedError::Prepare);
                }
                Err(error) => error,
            };
            if Instant::now() > deadline {
                return Err(EmbeddedError::NotReady {
                    log: log.to_path_buf(),
                    waited_secs: START_TIMEOUT.as_secs(),
                    reason: failure.to_string(),
                });
            }
            sleep(POLL).await;
        }
    }
}

/// The signals that stop a server, in turn, each with the time it is given.
const STOPS: [(Signal, Duration); 2] = [
    (Signal::INT, FAST_STOP_TIMEOUT),
    (Signal::QUIT, IMMEDIATE_STOP_TIMEOUT),
];

/// Stops a server that an earlier owner left running, for ours to take its place: then it is our child, its end is
/// seen, and it has our settings and binaries.
pub(super) async fn stop_leftover(folder: &Folder) -> Result<(), EmbeddedError> {
    let Some(pid) = folder.running_server() else {
        return Ok(());
    };
    info!(
        process.pid = pid,
        "stopping the database server that an earlier run left behind"
    );
    for (signal, patience) in STOPS {
        let _ = send(pid, signal);
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if folder.running_server() != Some(pid) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(EmbeddedError::WontStop(pid))
}

/// Connects once and hangs up.
pub(super) async fn probe(folder: &Folder, database: &str) -> Result<(), sqlx::Error> {
    let attempt = async {
        let connection = folder.connect_options(database).connect().await?;
        connection.close().await
    };
    timeout(PROBE_TIMEOUT, attempt)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

async fn create_database(folder: &Folder) -> Result<(), sqlx::Error> {
    let mut connection = folder.connect_options("postgres").connect().await?;
    sqlx::query("CREATE DATABASE tracedesk")
        .execute(&mut connection)
        .await?;
    // Not every build has lz4, and on the command line an unknown method would keep the server from starting.
    let has_lz4: bool = sqlx::query_scalar(
        "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'wal_compression'",
    )
    .fetch_one(&mut connection)
    .await?;
    if has_lz4 {
        sqlx::query("ALTER DATABASE tracedesk SET wal_compression = lz4")
            .execute(&mut connection)
            .await?;
    }
    connection.close().await
}

fn is_missing_database(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "3D000")
}

/// Whether a server gave up because a killed one's remains are still in the way (the texts are those of
/// `lc_messages` C).
fn is_stale(tail: &str) -> bool {
    tail.contains("pre-existing shared memory block")
        || tail.contains("lock file \"postmaster.pid\"")
        || tail.contains(&format!(".s.PGSQL.{PORT}.lock\""))
}

fn watch(pid: u32, folder: &Path) -> Result<Child, EmbeddedError> {
    Command::new("/bin/sh")
        .args(["-c", WATCHDOG, "tracedesk-watchdog", &pid.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .env_clear()
        .spawn()
        .map_err(EmbeddedError::io("run", "/bin/sh"))
}

fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

/// Sets a long log aside; answers how long the log is now.
fn rotate(log: &Path) -> Result<u64, EmbeddedError> {
    let bytes = fs::metadata(log).map_or(0, |found| found.len());
    if bytes <= LOG_BYTES {
        return Ok(bytes);
    }
    let mut aside = log.as_os_str().to_owned();
    aside.push(".1");
    fs::rename(log, PathBuf::from(aside)).map_err(EmbeddedError::io("rename", log))?;
    Ok(0)
}

fn open_log(log: &Path) -> Result<File, EmbeddedError> {
    File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)
        .map_err(EmbeddedError::io("open", log))
}

/// The last lines of what was logged since the log was `from` bytes long.
pub(super) fn tail(log: &Path, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let start = from.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => last_lines(&text),
        Err(error) => {
            warn!(%error, "cannot read the database's log");
            String::new()
        }
    }
}

/// The last lines that say something.
pub(super) fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
