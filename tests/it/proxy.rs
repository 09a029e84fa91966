//! A way to Postgres that can be cut, to see what happens when the database is away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::PgPool;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tracedesk::db;

/// Connections that the pool through the proxy may open.
const POOL_CONNECTIONS: u32 = 10;

/// What the proxy does with bytes.
#[derive(Clone, Debug, PartialEq)]
enum Mode {
    Pass,
    /// Drops all connections and takes no more.
    Cut,
    /// Drops a connection when these bytes come by from the client.
    CutAt(&'static [u8]),
}

/// A socket in front of a database.
pub(crate) struct Proxy {
    mode: watch::Sender<Mode>,
    folder: TempDir,
    server: Arc<PathBuf>,
    port: u16,
    direct: PgPool,
}

impl Proxy {
    /// Before the database of this pool.
    pub(crate) fn before(direct: &PgPool) -> Self {
        let options = direct.connect_options();
        let port = options.get_port();
        let socket = format!(".s.PGSQL.{port}");
        let proxy = Self {
            mode: watch::Sender::new(Mode::Pass),
            folder: TempDir::new().unwrap(),
            server: Arc::new(options.get_socket().unwrap().join(&socket)),
            port,
            direct: direct.clone(),
        };
        let listener = UnixListener::bind(proxy.folder.path().join(&socket)).unwrap();
        let (server, modes) = (Arc::clone(&proxy.server), proxy.mode.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, Arc::clone(&server), modes.clone()));
            }
        });
        proxy
    }

    /// A pool whose connections lead through the proxy.
    pub(crate) async fn pool(&self) -> PgPool {
        let options = self.direct.connect_options();
        let options = options.as_ref().clone().socket(self.folder.path());
        db::connect(options.port(self.port), POOL_CONNECTIONS)
            .await
            .unwrap()
    }

    /// The database is away from now on.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Each connection breaks when it sends these bytes.
    pub(crate) fn cut_at(&self, bytes: &'static [u8]) {
        self.mode.send_replace(Mode::CutAt(bytes));
    }

    /// The database is back.
    pub(crate) fn mend(&self) {
        self.mode.send_replace(Mode::Pass);
    }
}

async fn pass(mut client: UnixStream, server: Arc<PathBuf>, mut modes: watch::Receiver<Mode>) {
    if *modes.borrow() == Mode::Cut {
        return;
    }
    let Ok(mut server) = UnixStream::connect(Path::new(&*server)).await else {
        return;
    };
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(bytes) = got(read, &asked) else { return };
                if matches!(&*modes.borrow(), Mode::CutAt(mark) if contains(bytes, mark)) {
                    return;
                }
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Some(bytes) = got(read, &answered) else { return };
                if client.write_all(bytes).await.is_err() {
                    return;
                }
            }
            changed = modes.changed() => {
                if changed.is_err() || *modes.borrow() == Mode::Cut {
                    return;
                }
            }
        }
    }
}

fn got(read: std::io::Result<usize>, buffer: &[u8]) -> Option<&[u8]> {
    let count = read.ok().filter(|&count| count > 0)?;
    buffer.get(..count)
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}
