//! The processes that are measured: Postgres with durable settings, tracedesk, and the bare handlers.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::runtime::Runtime;
use tracedesk::db::embedded::{Embedded, Options};

use crate::client::Connection;

/// Postgres's own cache: an eighth of a small server's memory.
const SHARED_BUFFERS_MB: u32 = 512;
/// A process that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Between two looks whether it is ready.
const POLL: Duration = Duration::from_millis(1);

/// The server that ours and the limits share.
pub struct Postgres {
    pub runtime: Runtime,
    pub pool: PgPool,
    pub url: String,
    /// Where its socket is.
    pub socket_dir: PathBuf,
    embedded: Embedded,
}

impl Postgres {
    /// Starts tracedesk's embedded Postgres (fsync, full-page writes and synchronous commit on) in `dir`.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let options = Options {
            shared_buffers_mb: SHARED_BUFFERS_MB,
            ..Options::default()
        };
        let embedded = runtime.block_on(Embedded::start(dir, options))?;
        let socket_dir = std::fs::canonicalize(dir.join("postgres"))?;
        let pool = runtime.block_on(async {
            let mut conn = PgConnection::connect_with(&embedded.connect_options()).await?;
            tracedesk::db::migrate(&mut conn).await?;
            anyhow::Ok(tracedesk::db::connect(embedded.connect_options(), 4).await?)
        })?;
        let url = format!(
            "postgres:///tracedesk?host={}&user=tracedesk",
            socket_dir.display()
        );
        Ok(Self {
            runtime,
            pool,
            url,
            socket_dir,
            embedded,
        })
    }

    /// Runs statements that give nothing back, each on its own: `VACUUM` can be part of no transaction.
    pub fn execute(&self, sql: &'static str) -> anyhow::Result<()> {
        for statement in sql
            .split(';')
            .filter(|statement| !statement.trim().is_empty())
        {
            let done = sqlx::raw_sql(statement).execute(&self.pool);
            self.runtime.block_on(done)?;
        }
        Ok(())
    }

    /// The one number that a query gives.
    pub fn number(&self, sql: &'static str) -> anyhow::Result<i64> {
        let found = sqlx::query_scalar(sql).fetch_one(&self.pool);
        Ok(self.runtime.block_on(found)?)
    }

    /// Between two measures, so that none pays for the pages of the one before.
    pub fn settle(&self) -> anyhow::Result<()> {
        self.execute("CHECKPOINT")
    }

    /// Where this server's programs are.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let found =
            sqlx::query_scalar::<_, String>("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
                .fetch_one(&self.pool);
        Ok(Path::new(&self.runtime.block_on(found)?).join(name))
    }

    /// Processor time of the server and all its backends so far, in seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let pid_file = std::fs::read_to_string(self.socket_dir.join("postmaster.pid"))?;
        let server = pid_file.lines().next().context("no process ID")?.to_owned();
        let mut sum = 0.0;
        for entry in std::fs::read_dir("/proc")? {
            let stat = std::fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
            let (pid, fields) = stat.split_once(' ').unwrap_or_default();
            let fields = Stat::read(fields);
            if pid == server {
                sum += fields.own + fields.of_ended_children;
            } else if fields.parent == server {
                sum += fields.own;
            }
        }
        Ok(sum)
    }

    pub fn stop(self) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            self.pool.close().await;
            self.embedded.stop().await
        })?;
        Ok(())
    }
}

/// A server that listens on `address` until dropped.
pub struct Served {
    pub address: SocketAddr,
    /// From exec to the first answer 200 at the path that was asked for.
    pub started_in: Duration,
    child: Child,
}

impl Served {
    /// tracedesk on this database, or on the embedded one of `data_dir`.
    pub fn tracedesk(
        database_url: Option<&str>,
        data_dir: &Path,
        mail: Mail,
    ) -> anyhow::Result<Self> {
        let mut command = tracedesk(database_url, data_dir)?;
        command.arg("serve");
        if mail == Mail::Away {
            // Nothing listens there: the outbox pauses, as it does while a mail server is away.
            command.env("SMTP_URL", "smtp://127.0.0.1:9");
        }
        Self::spawn(command, data_dir, "/readyz", |command, address| {
            command.env("TRACEDESK_LISTEN", address.to_string());
        })
    }

    /// The bare handlers, in a process of their own.
    pub fn bare(database_url: &str, data_dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").env("DATABASE_URL", database_url);
        Self::spawn(command, data_dir, "/ready", |command, address| {
            command.arg(address.to_string());
        })
    }

    fn spawn(
        mut command: Command,
        data_dir: &Path,
        ready_path: &str,
        set_address: impl Fn(&mut Command, SocketAddr),
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        set_address(&mut command, address);
        std::fs::create_dir_all(data_dir)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(data_dir.join("bench.log"))?;
        let began = Instant::now();
        let child = command
            .stdout(Stdio::null())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("can't run {}", command.get_program().display()))?;
        let mut served = Self {
            address,
            started_in: Duration::ZERO,
            child,
        };
        let head = format!("GET {ready_path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
        while !is_ready(address, &head) {
            ensure!(
                served.child.try_wait()?.is_none(),
                "a server ended at its start; see {}",
                data_dir.join("bench.log").display()
            );
            if began.elapsed() > READY_WITHIN {
                bail!("a server was not ready within {READY_WITHIN:?}");
            }
            std::thread::sleep(POLL);
        }
        served.started_in = began.elapsed();
        Ok(served)
    }

    /// Processor time so far, in seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        Ok(Stat::read(&stat).own)
    }

    /// Peak resident size so far, in MiB.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: f64 = line
            .context("this system does not tell the peak of a process's memory")?
            .trim_end_matches("kB")
            .trim()
            .parse()?;
        Ok(kib / 1_024.0)
    }
}

/// Of a process's `stat` (proc(5)), from the second field on.
#[derive(Default)]
struct Stat {
    parent: String,
    /// In seconds.
    own: f64,
    /// In seconds.
    of_ended_children: f64,
}

impl Stat {
    fn read(stat: &str) -> Self {
        // A process's name, in brackets, may hold spaces.
        let Some((_name, rest)) = stat.rsplit_once(')') else {
            return Self::default();
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        // Fields 14 to 17 of the whole line, in hundredths of a second.
        let seconds = |index| field(index).parse::<f64>().unwrap_or(0.0) / 100.0;
        Self {
            parent: field(1).to_owned(),
            own: seconds(11) + seconds(12),
            of_ended_children: seconds(13) + seconds(14),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Whether mails go out during a measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mail {
    /// To files in the data folder.
    Written,
    /// Their server can't be reached.
    Away,
}

fn is_ready(address: SocketAddr, head: &str) -> bool {
    Connection::open(address).is_ok_and(|mut connection| {
        connection
            .call(head.as_bytes(), b"")
            .is_ok_and(|(status, _)| status == 200)
    })
}

/// A command of the tracedesk program that was built beside this one.
pub fn tracedesk(database_url: Option<&str>, data_dir: &Path) -> anyhow::Result<Command> {
    let program = std::env::current_exe()?.with_file_name("tracedesk");
    ensure!(
        program.exists(),
        "{} is missing: build with `cargo build --release --workspace`",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TRACEDESK_DATA_DIR", data_dir)
        .current_dir(std::env::temp_dir());
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    Ok(command)
}

/// Makes an API key that may do everything.
pub fn make_key(database_url: &str, data_dir: &Path) -> anyhow::Result<String> {
    let output = tracedesk(Some(database_url), data_dir)?
        .args(["key", "create", "--account", "bench", "--scope", "admin"])
        .output()?;
    ensure!(
        output.status.success(),
        "no key could be made: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
