//! The background tasks: starts them, and stops the process when one of them dies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::ingest::writer::Writers;
use crate::intake::guard::proof;
use crate::intake::open::IDEMPOTENCY_HOURS;
use crate::links::lost;
use crate::links::render::{Renderer, render};
use crate::outbox::deliver::Delivery;
use crate::outbox::mailer::Mailer;
use crate::state::AppState;
use crate::tickets::attachment;
use crate::tickets::drafts::UNSENT_HOURS;
use crate::traces::store as traces;

/// How often links are swept.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often pictures move to the object store.
const MOVE_EVERY: Duration = Duration::from_mins(1);
/// How often partitions are made and dropped, and old rows forgotten.
const MAINTAIN_EVERY: Duration = Duration::from_hours(1);
/// How often requests for lost links become mails: soon for who waits, and a look at an empty table otherwise.
const LOST_LINKS_EVERY: Duration = Duration::from_secs(2);

/// How long tasks may take to stop: a COPY and a mail under way take less.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// The running tasks.
pub struct Workers {
    tasks: JoinSet<anyhow::Result<&'static str>>,
    cancel: CancellationToken,
    /// Writers stop last: what was accepted before is still stored.
    cancel_writers: CancellationToken,
}

impl Workers {
    /// Starts all tasks.
    #[must_use]
    pub fn start(state: &AppState, writers: Writers, mailer: Mailer) -> Self {
        let mut workers = Self {
            tasks: JoinSet::new(),
            cancel: CancellationToken::new(),
            cancel_writers: CancellationToken::new(),
        };
        workers.start_writers(state, writers);
        workers.start_delivery(state, mailer);
        workers.start_repeated(state, "link sweep", SWEEP_EVERY, sweep);
        workers.start_repeated(state, "lost links", LOST_LINKS_EVERY, answer_lost);
        workers.start_repeated(state, "picture moves", MOVE_EVERY, move_pictures);
        workers.start_repeated(state, "maintenance", MAINTAIN_EVERY, maintain);
        workers
    }

    fn start_writers(&mut self, state: &AppState, writers: Writers) {
        let (state, cancel) = (state.clone(), self.cancel_writers.clone());
        self.tasks.spawn(async move {
            writers
                .run(state.pool, state.clock, state.resolver, cancel)
                .await;
            Ok("span writers")
        });
    }

    fn start_delivery(&mut self, state: &AppState, mailer: Mailer) {
        let (state, cancel) = (state.clone(), self.cancel.clone());
        self.tasks.spawn(async move {
            let renderer = Renderer {
                pool: state.pool.clone(),
                base_url: state.config.base_url.clone(),
                content: Arc::clone(&state.config.content),
                rules: Arc::clone(&state.config.failure_rules),
                clock: state.clock.clone(),
                readers: Arc::clone(&state.readers),
            };
            let delivery = Delivery {
                pool: state.pool.clone(),
                mailer,
                from: state.config.mail_from.clone(),
                clock: state.clock.clone(),
                render: move |mail| render(renderer.clone(), mail),
            };
            Arc::new(delivery).run(state.outbox_wake, cancel).await?;
            Ok("mail delivery")
        });
    }

    fn start_repeated<F>(
        &mut self,
        state: &AppState,
        name: &'static str,
        every: Duration,
        work: impl Fn(AppState) -> F + Send + 'static,
    ) where
        F: Future<Output = anyhow::Result<()>> + Send,
    {
        let (state, cancel) = (state.clone(), self.cancel.clone());
        self.tasks.spawn(async move {
            loop {
                // A failure passes (the database restarts, say); the next turn does the work.
                if let Err(error) = work(state.clone()).await {
                    tracing::error!(error = %format!("{error:#}"), task = name, "A background task failed");
                }
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = cancel.cancelled() => return Ok(name),
                }
            }
        });
    }

    /// Returns when a task ends that should not.
    ///
    /// # Errors
    /// Which one, and why.
    pub async fn watch(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(Ok(name))) => bail!("the background task \"{name}\" ended"),
            Some(Ok(Err(error))) => Err(error).context("a background task failed"),
            Some(Err(error)) => Err(error).context("a background task died"),
            None => bail!("there are no background tasks"),
        }
    }

    /// Stops all tasks, the writers after everything that waits is stored; what takes too long is cut off.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        self.cancel_writers.cancel();
        let stopping = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok(Err(error)) = ended {
                    tracing::error!(error = %format!("{error:#}"), "A background task failed while stopping");
                }
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, stopping).await.is_err() {
            tracing::warn!("Background tasks did not stop in time and are cut off");
            self.tasks.abort_all();
        }
    }
}

async fn sweep(state: AppState) -> anyhow::Result<()> {
    state.resolver.sweep().await.context("sweeping links")?;
    state
        .resolver
        .sweep_suggestions()
        .await
        .context("suggesting traces")?;
    state
        .resolver
        .sweep_recoveries()
        .await
        .context("looking whether what failed works again")
}

async fn answer_lost(state: AppState) -> anyhow::Result<()> {
    let mut conn = state.pool.acquire().await?;
    let mails = lost::answer_requests(&mut conn, &state.config, state.clock.now()).await?;
    if mails > 0 {
        state.outbox_wake.notify_one();
    }
    Ok(())
}

async fn move_pictures(state: AppState) -> anyhow::Result<()> {
    let moved = state.blobs.move_pictures(&state.pool, &state.clock).await;
    moved.context("moving screenshots to the object store; they stay in Postgres until it works")
}

/// One turn of maintenance: partitions made ahead and dropped, old sessions and answers forgotten.
///
/// # Errors
/// Which step failed, and why; the next turn does it.
pub async fn maintain(state: AppState) -> anyhow::Result<()> {
    let now = state.clock.now();
    let mut conn = state.pool.acquire().await?;
    traces::ensure_partitions(&mut conn, now.date_naive())
        .await
        .context("making partitions")?;
    let oldest = traces::oldest_kept_day(now, state.config.retention_days);
    let dropped = traces::drop_partitions_before(&mut conn, oldest)
        .await
        .context("dropping old partitions")?;
    if dropped > 0 {
        tracing::info!(partitions = dropped, "Dropped traces past retention");
    }
    access::store::delete_expired_sessions(&mut conn, now)
        .await
        .context("forgetting old sessions")?;
    let unsent = now - chrono::Duration::hours(UNSENT_HOURS);
    attachment::delete_unsent(&mut conn, unsent)
        .await
        .context("forgetting files of unsent forms")?;
    state
        .blobs
        .delete_orphans(&state.pool, &state.clock)
        .await
        .context("deleting objects without a screenshot")?;
    proof::delete_expired(&mut conn, now)
        .await
        .context("forgetting used proofs of work")?;
    let forgotten = now - chrono::Duration::hours(IDEMPOTENCY_HOURS);
    access::store::delete_old_answers(&mut conn, forgotten)
        .await
        .context("forgetting old answers")?;
    Ok(())
}
