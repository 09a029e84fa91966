//! Where the pictures are: in Postgres, or in any store that speaks S3. A picture comes to Postgres in the transaction
//! of its ticket and moves on from there, so that no request waits for the store, and none fails with it. Postgres knows
//! of every object before it exists, by a key that is used once, so that none is forgotten and none deleted too early.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use thiserror::Error;

use super::attachment::Picture;
use super::blob_store;
use crate::clock::{Clock, new_id};
use crate::config::S3Config;
use crate::http::error::Problem;

/// A picture of 20 MiB takes 3 seconds at 50 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Stores are near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One hiccup is no reason to fail.
const MAX_RETRIES: usize = 2;
/// All tries of one request together: somebody waits for the picture.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Pictures that move in one turn: what comes in a busy minute, several times over.
const MOVED_AT_ONCE: usize = 200;
/// Objects without a picture that are deleted in one turn.
const DELETED_AT_ONCE: i64 = 1_000;
/// A move takes a minute at most; an object that has no picture after this never will.
const ORPHAN_AFTER: TimeDelta = TimeDelta::hours(1);
/// Objects are named so in the check of `tracedesk doctor`.
const PROBE: &str = "tracedesk-doctor";

/// Why the store did not do what it should.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The store's own words.
    #[error("the object store: {0}")]
    Store(#[from] object_store::Error),
    /// The database's.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A picture is in a store, and none is configured any more.
    #[error("a picture is in an object store, but TRACEDESK_ATTACHMENTS names none")]
    NoStore,
}

/// A store of objects, if one is configured. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Blobs {
    store: Option<Arc<dyn ObjectStore>>,
    prefix: String,
}

impl Blobs {
    /// The store that is configured; Postgres if none is.
    ///
    /// # Errors
    /// [`BlobError`] when the settings don't fit together.
    pub fn new(config: Option<&S3Config>) -> Result<Self, BlobError> {
        let Some(config) = config else {
            return Ok(Self::default());
        };
        // TLS by ring, as all else here; a second call changes nothing.
        let _is_set = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_allow_http(config.allows_http());
        let retry = RetryConfig {
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        // What a machine's role or a container gives is read from the environment; what is set for tracedesk wins.
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(options)
            .with_retry(retry)
            .with_bucket_name(&config.bucket);
        let keys = [
            (AmazonS3ConfigKey::Region, &config.region),
            (AmazonS3ConfigKey::Endpoint, &config.endpoint),
            (AmazonS3ConfigKey::AccessKeyId, &config.access_key_id),
        ];
        for (key, value) in keys {
            if let Some(value) = value {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(secret) = &config.secret_access_key {
            builder = builder.with_secret_access_key(secret.expose_secret());
        }
        Ok(Self {
            store: Some(Arc::new(builder.build()?)),
            prefix: config.prefix.clone(),
        })
    }

    /// The picture's file, wherever it is.
    ///
    /// # Errors
    /// 503 when the store does not give it.
    pub async fn open(&self, picture: Picture) -> Result<(String, Vec<u8>), Problem> {
        let content = match (picture.content, picture.stored_as) {
            (Some(content), _) => Ok(content),
            (None, Some(key)) => self.get(&key).await,
            (None, None) => Ok(Vec::new()),
        };
        let content = content.map_err(|error| {
            tracing::warn!(%error, "A screenshot can't be read");
            Problem::unavailable()
        })?;
        Ok((picture.media_type, content))
    }

    /// Moves the pictures of tickets to the store. Two nodes at once store one twice, and the second object goes.
    ///
    /// # Errors
    /// The first that is met; the next turn goes on.
    pub async fn move_pictures(&self, pool: &PgPool, clock: &Clock) -> Result<(), BlobError> {
        if self.store.is_none() {
            return Ok(());
        }
        for _ in 0..MOVED_AT_ONCE {
            let Some(picture) = blob_store::next_here(&mut *pool.acquire().await?).await? else {
                return Ok(());
            };
            let key = new_id().to_string();
            blob_store::announce(&mut *pool.acquire().await?, &key, clock.now()).await?;
            // No connection is held over the network.
            self.put(&key, picture.content).await?;
            blob_store::moved(&mut *pool.acquire().await?, picture.id, &key).await?;
        }
        Ok(())
    }

    /// Deletes objects whose picture is gone.
    ///
    /// # Errors
    /// The first that is met; the next turn goes on.
    pub async fn delete_orphans(&self, pool: &PgPool, clock: &Clock) -> Result<(), BlobError> {
        if self.store.is_none() {
            return Ok(());
        }
        let before = clock.now() - ORPHAN_AFTER;
        let mut conn = pool.acquire().await?;
        let orphans = blob_store::orphans(&mut conn, before, DELETED_AT_ONCE).await?;
        drop(conn);
        for key in orphans {
            self.delete(&key).await?;
            blob_store::forget(&mut *pool.acquire().await?, &key).await?;
        }
        Ok(())
    }

    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), BlobError> {
        let store = self.store.as_ref().ok_or(BlobError::NoStore)?;
        store.put(&self.path(key), content.into()).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, BlobError> {
        let store = self.store.as_ref().ok_or(BlobError::NoStore)?;
        let found = store.get(&self.path(key)).await?;
        Ok(found.bytes().await?.into())
    }

    async fn delete(&self, key: &str) -> Result<(), BlobError> {
        let store = self.store.as_ref().ok_or(BlobError::NoStore)?;
        match store.delete(&self.path(key)).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes, reads and deletes an object.
    ///
    /// # Errors
    /// [`BlobError`] of the step that does not work.
    pub async fn check(&self) -> Result<(), BlobError> {
        self.put(PROBE, b"ok".to_vec()).await?;
        self.get(PROBE).await?;
        self.delete(PROBE).await
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.prefix))
    }
}
