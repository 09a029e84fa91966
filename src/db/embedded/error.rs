//! Why the embedded Postgres does not run, each with the way out.

use std::io;
use std::path::PathBuf;

use super::find::OLDEST_MAJOR;

/// Why the embedded Postgres could not be started, reached or stopped. Each is one sentence for the operator; only
/// [`Self::InitDb`] and [`Self::Exited`] add lines, those that Postgres itself wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No directory with server binaries.
    #[error(
        "no PostgreSQL server of version {OLDEST_MAJOR} or newer was found on this machine: install one \
         (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; \
         macOS: `brew install postgresql@17`), name the folder of its binaries in TRACEDESK_PG_BIN, \
         or point DATABASE_URL at a server that runs already"
    )]
    NoServer,
    /// Server binaries, but all too old for a new database.
    #[error(
        "the PostgreSQL found on this machine is version {found}, and tracedesk needs {OLDEST_MAJOR} or newer: \
         install a newer one, name the folder of its binaries in TRACEDESK_PG_BIN, \
         or point DATABASE_URL at a server that runs already"
    )]
    TooOld {
        /// The newest major version there is.
        found: u32,
    },
    /// `TRACEDESK_PG_BIN` names a directory without the binaries.
    #[error(
        "TRACEDESK_PG_BIN is {}, where no working `initdb` and `postgres` are: \
         set it to the folder that has both, or unset it to search the usual places", .0.display()
    )]
    NotBinaries(PathBuf),
    /// The cluster is of a major version whose binaries are not installed.
    #[error(
        "the database in {} is of PostgreSQL {cluster}, but this machine has only PostgreSQL {found}: \
         install PostgreSQL {cluster}; or move the database to {found} with `pg_upgrade`, or by a dump under {cluster} \
         and a restore into a fresh folder", .folder.display()
    )]
    OtherMajor {
        /// The cluster's folder.
        folder: PathBuf,
        /// The cluster's major version.
        cluster: u32,
        /// The installed major versions, as "15" or "15 and 17".
        found: String,
    },
    /// A folder that no `initdb` made.
    #[error(
        "{} is not a PostgreSQL database (it has no readable PG_VERSION): \
         move it away to begin with an empty database, or restore it from a backup", .0.display()
    )]
    NotACluster(PathBuf),
    /// Something that could lead elsewhere stands where the cluster's folder belongs.
    #[error(
        "{} is not a plain folder: tracedesk follows no symbolic link there; \
         set TRACEDESK_DATA_DIR to the place it leads to, or move it away", .0.display()
    )]
    NotAFolder(PathBuf),
    /// The folder belongs to somebody else.
    #[error(
        "{} belongs to the user with ID {owner}, but the database would run as the user with ID {expected}: \
         run tracedesk as the user who created it, or hand it over with `chown -R {expected} {}`",
        .folder.display(), .folder.display()
    )]
    NotOwned {
        /// The cluster's folder.
        folder: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who should.
        expected: u32,
    },
    /// Others can reach into the folder, where every local connection is trusted.
    #[error(
        "{} is open to other users, who could then read the database: close it with `chmod 700 {}`",
        .0.display(), .0.display()
    )]
    NotPrivate(PathBuf),
    /// Started as root without anybody to run the server as.
    #[error(
        "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody` to run it as: \
         create one (`useradd --system postgres`), or start tracedesk as an ordinary user"
    )]
    NoAccount,
    /// The server's user cannot pass a folder above the cluster's, and this system has no way round.
    #[error(
        "the user with ID {uid}, whom the database runs as, cannot enter {}: \
         set TRACEDESK_DATA_DIR to a folder that others may enter, such as /var/lib/tracedesk", .folder.display()
    )]
    Unreachable {
        /// The cluster's folder.
        folder: PathBuf,
        /// The server's user.
        uid: u32,
    },
    /// The path does not fit into a socket address, and this system has no way round.
    #[error("the path {} is too long for a socket: set TRACEDESK_DATA_DIR to a shorter one", .0.display())]
    PathTooLong(PathBuf),
    /// Another process owns the database but its server does not answer.
    #[error(
        "another tracedesk{} holds {} but its database does not answer ({reason}): \
         if it is starting or stopping, try again in a moment; if it hangs, end it and try again",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .lock.display()
    )]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// Who wrote its process ID there.
        pid: Option<u32>,
        /// What the last attempt to connect met.
        reason: String,
    },
    /// `initdb` failed.
    #[error(
        "initdb could not create the database in {}; check the free space and the permissions there, \
         or set TRACEDESK_DATA_DIR to another folder. It wrote:\n{output}", .folder.display()
    )]
    InitDb {
        /// The folder that was to hold the cluster.
        folder: PathBuf,
        /// The last lines of what it wrote.
        output: String,
    },
    /// The server ended instead of answering.
    #[error(
        "the embedded database ended as it started; mend what its log {} says and start again. It ends with:\n{tail}",
        .log.display()
    )]
    Exited {
        /// The server's log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server runs but does not answer.
    #[error(
        "the embedded database did not answer within {waited_secs} seconds ({reason}); \
         if it is recovering from a crash, start again to give it more time; see its log {}", .log.display()
    )]
    NotReady {
        /// The server's log file.
        log: PathBuf,
        /// How long it was waited for.
        waited_secs: u64,
        /// What the last attempt to connect met.
        reason: String,
    },
    /// A server left over from an earlier run does not stop.
    #[error(
        "a database server left over from an earlier run (process {0}) does not stop: end it with `kill -QUIT {0}`, and start again"
    )]
    WontStop(u32),
    /// The server refused the first statements.
    #[error(
        "the embedded database refused to create what tracedesk needs: {0}; see its log in the data folder"
    )]
    Prepare(#[source] sqlx::Error),
    /// The operating system refused.
    #[error(
        "cannot {action} {}: {source}; check the permissions and the free space there, \
         or set TRACEDESK_DATA_DIR to another folder", .path.display()
    )]
    Io {
        /// A verb: "create", "read".
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The task that keeps the server running is gone.
    #[error(
        "the task that keeps the embedded database running broke ({0}): restart tracedesk, and report this"
    )]
    Keeper(#[from] tokio::task::JoinError),
}

impl EmbeddedError {
    /// Says what was done to which path when the system refused; for `map_err`.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
