//! What every request handler shares, and how errors from below leave the service.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};

use crate::access::store::Keys;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::shared::Shared;
use crate::http::budget::ByteBudget;
use crate::http::error::Problem;
use crate::http::form::{MAX_FORM_BYTES, MAX_REPORT_BYTES, Uploads};
use crate::ingest::writer::IngestQueue;
use crate::intake::guard::secret::SharedSecret;
use crate::limits::Limits;
use crate::links::resolve::{ResolveError, Resolver};
use crate::tickets::blobs::Blobs;
use crate::traces::assemble::ReadError;

/// Traces that are decompressed and turned into JSON or a page at a time: 64 MiB each at most.
const READERS: usize = 4;

/// Forms with screenshots that arrive at once: two of the largest (50 MiB each), or a hundred usual ones.
const UPLOAD_BYTES: usize = 2 * MAX_FORM_BYTES;

/// Forms without files that arrive at once: 64 of the largest.
const TEXT_BYTES: usize = 64 * MAX_REPORT_BYTES;

/// Handles to everything a request may need. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The database.
    pub pool: PgPool,
    /// What the service runs with.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// Looks API keys up.
    pub keys: Shared<Keys>,
    /// Where spans are stored.
    pub ingest: IngestQueue,
    /// Links tickets to traces.
    pub resolver: Resolver,
    /// Wakes the mail worker.
    pub outbox_wake: Arc<Notify>,
    /// What anybody may ask, by address.
    pub limits: Arc<Limits>,
    /// Where pictures are.
    pub blobs: Blobs,
    /// Signs what the form must bring back.
    pub secret: SharedSecret,
    /// Bounds the memory of forms with screenshots.
    pub uploads: Uploads,
    /// Bounds the memory of reading large traces.
    pub readers: Arc<Semaphore>,
}

impl AppState {
    /// State on this database. The queue's other side must be run by the caller.
    #[must_use]
    pub fn new(pool: PgPool, config: Config, clock: Clock, ingest: IngestQueue) -> Self {
        let outbox_wake = Arc::new(Notify::new());
        let resolver = Resolver::new(pool.clone(), clock.clone(), Arc::clone(&outbox_wake))
            .with_rules(&config.failure_rules);
        Self {
            keys: Shared::new(pool.clone()),
            pool,
            config: Arc::new(config),
            clock,
            ingest,
            resolver,
            outbox_wake,
            limits: Arc::new(Limits::default()),
            blobs: Blobs::default(),
            secret: SharedSecret::default(),
            uploads: Uploads {
                texts: ByteBudget::new(TEXT_BYTES),
                files: ByteBudget::new(UPLOAD_BYTES),
            },
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::internal(&error)
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Database(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}
