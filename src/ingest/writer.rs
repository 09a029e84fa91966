//! The one way to `trace_parts`: a queue bounded by bytes, and writers that gather what is waiting into one COPY.
//! A job is answered after its commit.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::clock::Clock;
use crate::db::is_unavailable;
use crate::http::budget::{ByteBudget, Reservation};
use crate::links::resolve::Resolver;
use crate::traces::part::TracePart;
use crate::traces::store;

/// Bytes of request bodies under way at once: one of the largest allowed, before and after decompression, and half
/// as much for all others.
pub const QUEUE_BYTES: usize = 3 * 64 * 1024 * 1024;
/// Jobs waiting: far more than [`QUEUE_BYTES`] lets in at the size of a usual export (100 kB).
const QUEUE_JOBS: usize = 4_096;
/// A batch is closed at this size: a COPY of 4 MiB keeps a commit under some 50 ms, and every waiting client waits
/// for one commit.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Writers, each with a connection of its own: one waits for its commit while the other copies.
const WRITERS: usize = 2;

/// A batch is stored within this time or refused: clients wait 10 s for their answer.
const COPY_DEADLINE: Duration = Duration::from_secs(8);
/// How long our own spans gather before they are stored: nobody waits for them, and a commit for each request would
/// cost as much as the request.
const OWN_PAUSE: Duration = Duration::from_millis(200);

/// Parts to store, and who waits for them.
struct Job {
    parts: Vec<TracePart>,
    done: oneshot::Sender<Result<(), NotStored>>,
    /// The memory it takes, given back when it is done, whether or not somebody still waits.
    _held: Option<Reservation>,
}

/// The parts are not stored; the sender may try again.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum NotStored {
    /// The queue is full.
    #[error("too much is waiting to be stored")]
    Full,
    /// The database refused or is away.
    #[error("the database did not take the spans")]
    Database,
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
}

/// Where requests put parts. Cheap to clone.
#[derive(Clone)]
pub struct IngestQueue {
    jobs: mpsc::Sender<Job>,
    own: mpsc::Sender<Job>,
    budget: ByteBudget,
}

/// The writers' side of the queue.
pub struct Writers {
    jobs: mpsc::Receiver<Job>,
    own: mpsc::Receiver<Job>,
}

/// Makes the queue and its writers' side; `bytes` is its bound, [`QUEUE_BYTES`] in the service.
#[must_use]
pub fn queue(bytes: usize) -> (IngestQueue, Writers) {
    let (jobs, waiting) = mpsc::channel(QUEUE_JOBS);
    let (own, own_waiting) = mpsc::channel(QUEUE_JOBS);
    let queue = IngestQueue {
        jobs,
        own,
        budget: ByteBudget::new(bytes),
    };
    let writers = Writers {
        jobs: waiting,
        own: own_waiting,
    };
    (queue, writers)
}

impl IngestQueue {
    /// Begins an empty reservation.
    #[must_use]
    pub fn reserve(&self) -> Reservation {
        self.budget.reserve()
    }

    /// Stores parts; returns after the commit. The reservation lasts until then.
    ///
    /// # Errors
    /// Why nothing was stored.
    #[tracing::instrument(name = "store spans", skip_all)]
    pub async fn store(&self, parts: Vec<TracePart>, held: Reservation) -> Result<(), NotStored> {
        if parts.is_empty() {
            return Ok(());
        }
        let (done, stored) = oneshot::channel();
        self.jobs
            .try_send(Job {
                parts,
                done,
                _held: Some(held),
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NotStored::Full,
                mpsc::error::TrySendError::Closed(_) => NotStored::Stopping,
            })?;
        stored.await.unwrap_or(Err(NotStored::Stopping))
    }

    /// Hands parts over without waiting for the commit. For our own spans, which wait in a
    /// queue of their own and never take the place of anybody else's; drops them when it is full.
    pub fn offer(&self, parts: Vec<TracePart>) {
        let (done, _nobody_waits) = oneshot::channel();
        let job = Job {
            parts,
            done,
            _held: None,
        };
        if self.own.try_send(job).is_err() {
            metrics::counter!("tracedesk_own_spans_dropped_total").increment(1);
        }
    }
}

impl Writers {
    /// Writes until cancelled and the queues are empty.
    pub async fn run(
        self,
        pool: PgPool,
        clock: Clock,
        resolver: Resolver,
        cancel: CancellationToken,
    ) {
        let (jobs, own) = (Mutex::new(self.jobs), Mutex::new(self.own));
        let (pool, clock, resolver, cancel) = (&pool, &clock, &resolver, &cancel);
        let write_all = async |queue, pause| {
            while let Some(batch) = next_batch(queue, pause, cancel).await {
                write(pool, clock, resolver, batch).await;
            }
        };
        let writers = join_all((0..WRITERS).map(|_| write_all(&jobs, Duration::ZERO)));
        tokio::join!(writers, write_all(&own, OWN_PAUSE));
    }
}

/// Waits for one job and, after a pause, takes along what else is waiting. `None` when cancelled and nothing is left.
async fn next_batch(
    jobs: &Mutex<mpsc::Receiver<Job>>,
    pause: Duration,
    cancel: &CancellationToken,
) -> Option<Vec<Job>> {
    let mut jobs = jobs.lock().await;
    let first = tokio::select! {
        biased;
        job = jobs.recv() => job?,
        () = cancel.cancelled() => return None,
    };
    if !pause.is_zero() {
        // Cut short when the service stops.
        let _cut_short = tokio::time::timeout(pause, cancel.cancelled()).await;
    }
    let mut weight: usize = first.parts.iter().map(TracePart::weight).sum();
    let mut batch = vec![first];
    while weight < BATCH_BYTES {
        let Ok(job) = jobs.try_recv() else { break };
        weight += job.parts.iter().map(TracePart::weight).sum::<usize>();
        batch.push(job);
    }
    Some(batch)
}

async fn write(pool: &PgPool, clock: &Clock, resolver: &Resolver, mut batch: Vec<Job>) {
    let all = batch.iter().flat_map(|job| &job.parts);
    match copy(pool, clock, all).await {
        Ok(()) => answer(resolver, batch).await,
        Err(error) if batch.len() > 1 && !is_unavailable(&error) => {
            // One job's rows must not cost the others theirs: each alone, once.
            warn!(error = %error, jobs = batch.len(), "A batch of spans was not stored; storing each request alone");
            for job in batch.drain(..) {
                match copy(pool, clock, &job.parts).await {
                    Ok(()) => answer(resolver, vec![job]).await,
                    Err(error) => refuse(job, &error),
                }
            }
        }
        Err(error) => batch.into_iter().for_each(|job| refuse(job, &error)),
    }
}

/// The commit is done: link whoever waits for these traces, then say so.
async fn answer(resolver: &Resolver, batch: Vec<Job>) {
    let parts = || batch.iter().flat_map(|job| &job.parts);
    let ids: Vec<_> = parts().map(|part| part.trace_id).collect();
    let spans: i64 = parts().map(|part| i64::from(part.span_count)).sum();
    metrics::counter!("tracedesk_spans_stored_total").increment(spans.unsigned_abs());
    resolver.traces_stored_soon(ids).await;
    for job in batch {
        let _gone = job.done.send(Ok(()));
    }
}

fn refuse(job: Job, error: &sqlx::Error) {
    error!(error = %error, parts = job.parts.len(), "Spans were not stored");
    metrics::counter!("tracedesk_ingest_failures_total").increment(1);
    let _gone = job.done.send(Err(NotStored::Database));
}

async fn copy<'a>(
    pool: &PgPool,
    clock: &Clock,
    parts: impl IntoIterator<Item = &'a TracePart> + Clone,
) -> Result<(), sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let copied = tokio::time::timeout(COPY_DEADLINE, copy_on(&mut conn, clock, parts)).await;
    copied.unwrap_or_else(|_late| {
        // In the middle of a COPY it is of no use to anybody.
        conn.close_on_drop();
        Err(sqlx::Error::PoolTimedOut)
    })
}

async fn copy_on<'a>(
    conn: &mut PgConnection,
    clock: &Clock,
    parts: impl IntoIterator<Item = &'a TracePart> + Clone,
) -> Result<(), sqlx::Error> {
    let now = clock.now();
    match store::copy_parts(&mut *conn, parts.clone(), now).await {
        Err(error) if is_partition_missing(&error) => {
            store::ensure_partitions(&mut *conn, now.date_naive()).await?;
            store::copy_parts(conn, parts, now).await?;
        }
        done => drop(done?),
    }
    Ok(())
}

/// `check_violation`: Postgres's answer to a row that no partition takes.
fn is_partition_missing(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .as_deref()
        == Some("23514")
}

/// Stores parts from a command, without the queue.
///
/// # Errors
/// The database's.
pub async fn store_directly(
    conn: &mut PgConnection,
    clock: &Clock,
    parts: &[TracePart],
) -> Result<(), sqlx::Error> {
    let now = clock.now();
    store::ensure_partitions(&mut *conn, now.date_naive()).await?;
    store::copy_parts(conn, parts, now).await.map(drop)
}
