//! One Postgres for all the tests of a process, and a database of its own for each test.
//!
//! The cluster stays in the target folder from run to run, which saves `initdb`, and has tracedesk's own durable
//! settings. Its server is an embedded one: it ends with the process, by way of its watchdog, since nothing runs at
//! the end of a test process that could stop it.

use std::path::Path;
use std::sync::OnceLock;
use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use tokio::runtime::{Builder, Runtime};
use tracedesk::clock::new_id;
use tracedesk::db::embedded::{Embedded, EmbeddedError, Options};
use tracedesk::db::{self, MIGRATOR};

/// Connections that one test's pool may open.
const POOL_CONNECTIONS: u32 = 10;
/// Connections that all tests may open: 40 tests at a time with a full pool and one connection more.
const CLUSTER_CONNECTIONS: u16 = 440;

/// A running server with a migrated template.
pub(crate) struct TestCluster {
    embedded: Embedded,
    template: String,
    /// Runs the task that keeps the server, which no test's own runtime outlives.
    runtime: Runtime,
}

/// The process's cluster, started by whoever asks first.
pub(crate) fn shared_cluster() -> &'static TestCluster {
    static CLUSTER: OnceLock<TestCluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        // A runtime can't be waited on from within another, and the caller is most likely in its test's.
        thread::spawn(TestCluster::start)
            .join()
            .expect("the test cluster starts")
    })
}

impl TestCluster {
    /// A database of the caller's own with the schema in it. It is dropped by the next run.
    pub(crate) async fn fresh_database(&self) -> PgPool {
        let name = format!("test_{}", new_id().simple());
        let create = format!("CREATE DATABASE {name} TEMPLATE {}", self.template);
        execute(&mut self.maintenance().await, create).await;
        let options = self.embedded.connect_options().database(&name);
        db::connect(options, POOL_CONNECTIONS).await.unwrap()
    }

    /// How to connect to `database` apart from a pool, e.g. from the tracedesk program.
    pub(crate) fn connect_options(&self, database: &str) -> PgConnectOptions {
        self.embedded.connect_options().database(database)
    }

    fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let embedded = runtime.block_on(start_server(Path::new(env!("CARGO_TARGET_TMPDIR"))));
        let cluster = Self {
            embedded,
            template: template_name(),
            runtime,
        };
        cluster.runtime.block_on(cluster.prepare());
        cluster
    }

    /// Drops what earlier runs left and makes the template. Under a lock, for runs at the same time.
    async fn prepare(&self) {
        let mut connection = self.maintenance().await;
        execute(&mut connection, "SELECT pg_advisory_lock(1)".to_owned()).await;
        if self.embedded.is_owner() {
            for leftover in databases_like(&mut connection, "test\\_%").await {
                let drop = format!("DROP DATABASE IF EXISTS {leftover} WITH (FORCE)");
                execute(&mut connection, drop).await;
            }
        }
        let templates = databases_like(&mut connection, "template\\_%").await;
        if !templates.contains(&self.template) {
            for stale in templates {
                execute(&mut connection, format!("DROP DATABASE {stale}")).await;
            }
            self.make_template(&mut connection).await;
        }
        connection.close().await.unwrap();
    }

    /// Gives it its name only when it is whole.
    async fn make_template(&self, connection: &mut PgConnection) {
        execute(connection, "CREATE DATABASE template_unfinished".to_owned()).await;
        let options = self.connect_options("template_unfinished");
        let mut migrated = options.connect().await.unwrap();
        db::migrate(&mut migrated).await.unwrap();
        migrated.close().await.unwrap();
        let rename = format!(
            "ALTER DATABASE template_unfinished RENAME TO {}",
            self.template
        );
        execute(connection, rename).await;
    }

    async fn maintenance(&self) -> PgConnection {
        self.connect_options("postgres").connect().await.unwrap()
    }
}

async fn start_server(folder: &Path) -> Embedded {
    let data_dir = folder.join("cluster");
    let options = Options {
        max_connections: CLUSTER_CONNECTIONS,
        ..Options::default()
    };
    match Embedded::start(&data_dir, options.clone()).await {
        // Left by the Postgres of before an upgrade of the system; there is nothing in it to keep.
        Err(EmbeddedError::OtherMajor { folder, .. }) => {
            std::fs::remove_dir_all(folder).unwrap();
            Embedded::start(&data_dir, options).await.unwrap()
        }
        result => result.unwrap(),
    }
}

/// A name that changes with the migrations.
fn template_name() -> String {
    let version = MIGRATOR
        .iter()
        .flat_map(|migration| migration.checksum.iter())
        .fold(crc32fast::Hasher::new(), |mut hasher, byte| {
            hasher.update(&[*byte]);
            hasher
        })
        .finalize();
    format!("template_{version:08x}")
}

async fn databases_like(connection: &mut PgConnection, pattern: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE $1")
        .bind(pattern)
        .fetch_all(connection)
        .await
        .unwrap()
}

async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::query(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own_with_the_schema() {
    let one = shared_cluster().fresh_database().await;
    let other = shared_cluster().fresh_database().await;
    sqlx::query("CREATE TABLE mine ()")
        .execute(&one)
        .await
        .unwrap();
    let seen: bool = sqlx::query_scalar("SELECT to_regclass('mine') IS NOT NULL")
        .fetch_one(&other)
        .await
        .unwrap();
    assert!(!seen);
    let tickets: bool = sqlx::query_scalar("SELECT to_regclass('tickets') IS NOT NULL")
        .fetch_one(&other)
        .await
        .unwrap();
    assert!(tickets);
    let fsync: String = sqlx::query_scalar("SHOW fsync")
        .fetch_one(&other)
        .await
        .unwrap();
    assert_eq!(fsync, "on");
}
