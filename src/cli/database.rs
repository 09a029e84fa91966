//! The database of a command: the one of `DATABASE_URL`, or the embedded one, started or joined.

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::config::Config;
use crate::db;
use crate::db::embedded::{Embedded, Options};

/// Connections of a command other than `serve`.
pub const COMMAND_CONNECTIONS: u32 = 4;

/// An open database.
pub struct Database {
    /// Its connections.
    pub pool: PgPool,
    /// The embedded server, if that is what it is.
    pub embedded: Option<Embedded>,
}

impl Database {
    /// Opens it and brings its schema up to date.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub async fn open(config: &Config, max_connections: u32) -> anyhow::Result<Self> {
        let (options, direct, embedded) = if let Some(url) = &config.database_url {
            let direct = config.database_direct_url.as_ref().unwrap_or(url);
            (
                parse("DATABASE_URL", url)?,
                parse("DATABASE_DIRECT_URL", direct)?,
                None,
            )
        } else {
            let options = Options {
                pg_bin: config.pg_bin.clone(),
                ..Options::default()
            };
            let embedded = Embedded::start(&config.data_dir, options).await?;
            (
                embedded.connect_options(),
                embedded.connect_options(),
                Some(embedded),
            )
        };
        let opened = Self::connect(options, &direct, max_connections).await;
        match (opened, embedded) {
            (Ok(pool), embedded) => Ok(Self { pool, embedded }),
            (Err(error), Some(embedded)) => {
                embedded.stop().await?;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn connect(
        options: PgConnectOptions,
        direct: &PgConnectOptions,
        max_connections: u32,
    ) -> anyhow::Result<PgPool> {
        let mut conn = PgConnection::connect_with(direct).await.context(
            "the database can't be reached; check DATABASE_URL and that the server runs",
        )?;
        db::migrate(&mut conn)
            .await
            .context("the database's schema could not be brought up to date")?;
        conn.close().await.ok();
        db::connect(options, max_connections)
            .await
            .context("the database can't be reached")
    }

    /// Closes connections, and stops the embedded server if it is ours.
    ///
    /// # Errors
    /// When the embedded server does not stop cleanly.
    pub async fn close(self) -> anyhow::Result<()> {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }
}

fn parse(name: &str, url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    // The error may show the URL, which holds the password.
    url.expose_secret()
        .parse()
        .map_err(|_unreadable| anyhow::anyhow!("{name} is not a Postgres URL"))
}
