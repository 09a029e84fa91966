//! The embedded Postgres: a real server on a cluster in the data folder, for whoever has not set `DATABASE_URL`.
//!
//! ```text
//! DATA_DIR/postgres.lock   held by the process that owns the server, with its process ID
//! DATA_DIR/postgres/       the cluster, mode 0700, owned by the server's user; its socket is in it
//! DATA_DIR/postgres.new/   the cluster while `initdb` makes it
//! DATA_DIR/postgres.log    what the server wrote; `.1` is the one before
//! ```
//!
//! Every process that calls [`Embedded::start`] can use the database. One of them owns the server; the others are its
//! clients, and when the owner goes, one of them takes its place. So a long `tracedesk import` may end while
//! `tracedesk serve` goes on, in either order of start. The owner starts the server again when it dies.
//!
//! An owner that is killed takes the server with it, by way of the server's watchdog (a shell that waits on a pipe).
//! If that was killed too, the server stays; the next owner stops it and starts its own.

mod account;
mod cluster;
mod error;
mod find;
mod folder;
mod lock;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

pub use self::error::EmbeddedError;

use self::cluster::Cluster;
use self::folder::{DATABASE, Folder};
use self::lock::Lock;
use self::server::Server;

/// Between two tries of a client's to become the owner.
const SUCCESSION_INTERVAL: Duration = Duration::from_millis(200);

/// How the embedded Postgres is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the server's binaries (`TRACEDESK_PG_BIN`); the usual places are searched if there is none.
    pub pg_bin: Option<PathBuf>,
    /// Postgres's own cache, in MiB. The rest of the memory is used too, as the system's cache of files.
    pub shared_buffers_mb: u32,
    /// Connections of all processes together.
    pub max_connections: u16,
    /// How long to wait for the server of another process that owns it.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pg_bin: None,
            shared_buffers_mb: 128,
            max_connections: 100,
            // An owner that just creates the cluster takes 1 to 10 s.
            patience: Duration::from_secs(30),
        }
    }
}

/// A share in the embedded Postgres. While it lives the server runs, whichever process owns it.
///
/// Dropped without [`Embedded::stop`], a server that it owns shuts down in the background.
#[derive(Debug)]
pub struct Embedded {
    /// The folder, which [`Folder::connect_options`] may need open.
    folder: Folder,
    is_owner: watch::Receiver<bool>,
    stop: CancellationToken,
    /// `None` when it has ended and its result was told.
    keeper: Option<AbortOnDropHandle<Result<(), EmbeddedError>>>,
}

/// What makes a process the owner.
struct Ownership {
    lock: Lock,
    server: Server,
}

impl Embedded {
    /// Makes the database in `data_dir` usable: creates it the first time, starts its server, or finds the server of
    /// another process. Both folders are made if they are missing.
    ///
    /// Needs a Tokio runtime that lives as long as the result.
    ///
    /// # Errors
    /// Sentences that say what is wrong and how to mend it: no binaries, another major version's cluster, a folder
    /// that is not ours, a server that fails to start (with the end of its log).
    pub async fn start(data_dir: &Path, options: Options) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::locate(data_dir, options)?;
        let ownership = join(&cluster).await?;
        let folder = cluster.existing_folder()?;
        let (owner_tx, is_owner) = watch::channel(ownership.is_some());
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(cluster, ownership, stop.clone(), owner_tx));
        Ok(Self {
            folder,
            is_owner,
            stop,
            keeper: Some(AbortOnDropHandle::new(keeper)),
        })
    }

    /// How to connect to tracedesk's database. Good while this [`Embedded`] lives.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.folder.connect_options(DATABASE)
    }

    /// Whether the server is this process's now. A client becomes the owner when the owner ends.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        *self.is_owner.borrow()
    }

    /// Resolves when the server is gone and could not be started again, with the reason; so `serve` can end too.
    /// A death that was mended is only logged. Once told, the reason is not told again.
    ///
    /// # Errors
    /// Why the last start failed.
    pub async fn wait(&mut self) -> Result<(), EmbeddedError> {
        let Some(keeper) = &mut self.keeper else {
            return Ok(());
        };
        let result = keeper.await;
        self.keeper = None;
        result?
    }

    /// Shuts the server down if it is ours (fast; at once after 20 s), and gives up the share in it.
    ///
    /// # Errors
    /// When the server does not stop, or was gone already for a reason that [`Embedded::wait`] has not told yet.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        self.stop.cancel();
        self.wait().await
    }
}

/// Becomes the owner, with a server that runs, or (`None`) the client of one that does.
async fn join(cluster: &Cluster) -> Result<Option<Ownership>, EmbeddedError> {
    let deadline = Instant::now() + cluster.patience();
    loop {
        if let Some(lock) = Lock::try_take(cluster.lock_path())? {
            let server = cluster.bring_up().await?;
            return Ok(Some(Ownership { lock, server }));
        }
        let Some(reason) = cluster.probe().await? else {
            return Ok(None);
        };
        if Instant::now() > deadline {
            return Err(EmbeddedError::Busy {
                lock: cluster.lock_path().to_path_buf(),
                pid: Lock::holder(cluster.lock_path()),
                reason,
            });
        }
        sleep(server::POLL).await;
    }
}

/// Keeps a server running until told to stop: starts it again when it dies, and takes it over when its owner is gone.
async fn keep(
    cluster: Cluster,
    mut ownership: Option<Ownership>,
    stop: CancellationToken,
    is_owner: watch::Sender<bool>,
) -> Result<(), EmbeddedError> {
    loop {
        let lock = if let Some(Ownership { lock, mut server }) = ownership {
            tokio::select! {
                () = stop.cancelled() => {
                    let result = server.stop().await;
                    drop(lock);
                    return result;
                }
                status = server.ended() => {
                    error!(?status, "the database server died; starting it again");
                    lock
                }
            }
        } else {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                lock = succeed(&cluster) => lock?,
            }
        };
        let server = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            server = cluster.bring_up() => server?,
        };
        is_owner.send_replace(true);
        ownership = Some(Ownership { lock, server });
    }
}

/// Resolves with the lock when its owner has let it go.
async fn succeed(cluster: &Cluster) -> Result<Lock, EmbeddedError> {
    loop {
        if let Some(lock) = Lock::try_take(cluster.lock_path())? {
            info!("the owner of the database server is gone; taking its place");
            return Ok(lock);
        }
        sleep(SUCCESSION_INTERVAL).await;
    }
}
