//! The one resolver: links tickets to traces, whichever came first.
//!
//! There is no lost race and no lock between the two arrivals: a report looks for its trace after it committed, and
//! a batch of spans looks for waiting tickets after it committed, so whichever commits last sees the other. A sweep
//! covers a crash between commit and look.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::state::{LinkOrigin, LinkState};
use super::store::{self, Link};
use crate::clock::Clock;
use crate::failure_rule::FailureRules;
use crate::outbox;
use crate::tickets::event::{self, TicketEventKind};
use crate::traces::assemble::{RawTrace, ReadError};
use crate::traces::failure::Failure;
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::store as traces;

/// How long a link waits for its trace before it counts as missing: SDKs send within seconds, collectors that
/// sample by tail within minutes.
pub const WAIT_FOR_TRACE: Duration = Duration::minutes(15);
/// How long whoever sent spans waits for a turn to link them, and for the links: a trace of usual size takes
/// milliseconds, and clients wait 10 s for their answer.
const LINK_PATIENCE: StdDuration = StdDuration::from_secs(3);
/// Batches whose traces are being linked at a time.
const LINKERS: usize = 4;
/// How far back the sweep looks for parts that nobody looked at: a restart takes less.
const UNSEEN_FOR: Duration = Duration::hours(1);
/// Waiting links that the sweep takes at a time.
const SWEEP_PAGE: i64 = 200;

/// Why a look failed. The sweep looks again.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The database's.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A stored part is damaged.
    #[error(transparent)]
    Damaged(#[from] ReadError),
    /// The reading was stopped.
    #[error("reading the trace was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Links tickets to traces. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    /// The operator's, for failure classes.
    rules: Arc<FailureRules>,
    /// Wakes the mail worker when a waiting mail became due.
    outbox_wake: Arc<Notify>,
    /// One search by span at a time.
    pub(super) span_search: Arc<Semaphore>,
    /// Batches whose traces are being linked.
    linking: Arc<Semaphore>,
    /// Reports without an ID for which a trace is looked for at a time.
    suggesting: Arc<Semaphore>,
}

impl Resolver {
    /// A resolver on this database.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock, outbox_wake: Arc<Notify>) -> Self {
        Self {
            pool,
            clock,
            rules: Arc::default(),
            outbox_wake,
            span_search: Arc::new(Semaphore::new(1)),
            linking: Arc::new(Semaphore::new(LINKERS)),
            suggesting: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same with the operator's rules for failure classes.
    #[must_use]
    pub fn with_rules(mut self, rules: &Arc<FailureRules>) -> Self {
        self.rules = Arc::clone(rules);
        self
    }

    /// A connection of the pool.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// A turn to look for a trace without an ID; `None` when all are taken.
    pub(super) fn suggesting_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.suggesting).try_acquire_owned().ok()
    }

    /// Makes a ticket's waiting mails due.
    pub(super) async fn hasten(
        &self,
        conn: &mut PgConnection,
        ticket_id: Uuid,
    ) -> Result<(), sqlx::Error> {
        if outbox::store::hasten(conn, ticket_id).await? > 0 {
            self.outbox_wake.notify_one();
        }
        Ok(())
    }

    /// The time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// To be called after spans of these traces were committed. Waits for the links, but not long: whoever sent the
    /// spans waits for an answer. What is not looked at here, the sweep looks at.
    pub async fn traces_stored_soon(&self, ids: Vec<TraceId>) {
        let turn = Arc::clone(&self.linking).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(LINK_PATIENCE, turn).await else {
            return tracing::warn!("Links take long; the sweep looks at what was just stored");
        };
        let resolver = self.clone();
        let linking = tokio::spawn(async move {
            if let Err(error) = resolver.traces_stored(&ids).await {
                tracing::error!(error = %error, "Stored spans could not be linked to tickets yet; the sweep will");
            }
            drop(turn);
        });
        let _goes_on = tokio::time::timeout(LINK_PATIENCE, linking).await;
    }

    /// To be called after spans of these traces were committed.
    ///
    /// # Errors
    /// [`ResolveError`]; nothing is lost, the sweep looks again.
    pub async fn traces_stored(&self, ids: &[TraceId]) -> Result<(), ResolveError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
        let mut conn = self.pool.acquire().await?;
        let wanted = store::traces_with_tickets(&mut conn, &ids).await?;
        self.link_each(&mut conn, wanted.into_iter().filter_map(TraceId::from_uuid))
            .await;
        Ok(())
    }

    /// Links traces one after the other: one that can't be read does not keep the others from theirs.
    async fn link_each(
        &self,
        conn: &mut PgConnection,
        trace_ids: impl IntoIterator<Item = TraceId>,
    ) {
        for trace_id in trace_ids {
            if let Err(error) = self.link(&mut *conn, trace_id).await {
                tracing::error!(error = %error, trace.id = %trace_id, "A trace could not be linked to its tickets");
            }
        }
    }

    /// To be called after a ticket with these readings of its trace ID was committed. Returns its link as it is now.
    ///
    /// # Errors
    /// [`ResolveError`]; nothing is lost, the sweep looks again.
    #[tracing::instrument(name = "look for trace", skip_all)]
    pub async fn ticket_opened(&self, ticket_id: Uuid) -> Result<Option<Link>, ResolveError> {
        let mut conn = self.pool.acquire().await?;
        let Some(link) = store::find(&mut conn, ticket_id).await? else {
            return Ok(None);
        };
        let has_news = match link.state {
            LinkState::Waiting | LinkState::Missing => self.look(&mut conn, &link).await?,
            LinkState::None | LinkState::Linked => false,
        };
        if has_news {
            return Ok(store::find(&mut conn, ticket_id).await?);
        }
        Ok(Some(link))
    }

    /// Looks for every waiting link's trace, for parts that came to a linked trace unseen, and ends the waits that are
    /// over. At start-up and every minute: it covers whatever was missed between a commit and its look.
    ///
    /// # Errors
    /// [`ResolveError`]; the next sweep goes on.
    pub async fn sweep(&self) -> Result<(), ResolveError> {
        let mut conn = self.pool.acquire().await?;
        let mut after = Uuid::nil();
        loop {
            let page = store::waiting_after(&mut conn, after, SWEEP_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.ticket_id;
            self.look_for_all(&mut conn, &page).await?;
        }
        let now = self.clock.now();
        let unseen = store::traces_with_unseen_parts(&mut conn, now - UNSEEN_FOR).await?;
        self.link_each(&mut conn, unseen.into_iter().filter_map(TraceId::from_uuid))
            .await;
        let mut tx = conn.begin().await?;
        let missing = store::mark_missing(&mut tx, now).await?;
        event::append(
            &mut tx,
            &missing,
            TicketEventKind::LinkMissing,
            None,
            None,
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Few queries for a page of links.
    async fn look_for_all(
        &self,
        conn: &mut PgConnection,
        links: &[Link],
    ) -> Result<(), ResolveError> {
        let ids: Vec<Uuid> = links
            .iter()
            .flat_map(Link::candidates)
            .map(TraceId::as_uuid)
            .collect();
        let stored = traces::stored_among(&mut *conn, &ids).await?;
        let (mut by_id, mut by_span) = (Vec::new(), Vec::new());
        for link in links {
            let found = link
                .candidates()
                .into_iter()
                .find(|id| stored.contains(&id.as_uuid()));
            match (found, link.span()) {
                (Some(trace_id), _) => by_id.push(trace_id),
                (None, Some(span_id)) => by_span.push((link.ticket_id, span_id)),
                (None, None) => {}
            }
        }
        self.link_each(&mut *conn, by_id).await;
        let span_ids: Vec<SpanId> = by_span.iter().map(|(_, span_id)| *span_id).collect();
        for (span_id, trace_id) in self.traces_of_spans(conn, &span_ids).await? {
            let tickets = by_span.iter().filter(|(_, wanted)| *wanted == span_id);
            for (ticket_id, _) in tickets {
                self.link_by_span(&mut *conn, *ticket_id, span_id, trace_id)
                    .await?;
            }
        }
        Ok(())
    }

    /// Links the first reading that is stored. Returns whether there was one. What may be a span's ID is searched for
    /// after the answer.
    async fn look(&self, conn: &mut PgConnection, link: &Link) -> Result<bool, ResolveError> {
        let candidates = link.candidates();
        let ids: Vec<Uuid> = candidates.iter().map(|id| id.as_uuid()).collect();
        let stored = traces::stored_among(&mut *conn, &ids).await?;
        if let Some(&found) = candidates.iter().find(|id| stored.contains(&id.as_uuid())) {
            self.link(conn, found).await?;
            return Ok(true);
        }
        if let Some(span_id) = link.span() {
            self.search_later(link.ticket_id, span_id);
        }
        Ok(false)
    }

    /// Points a ticket at the trace that staff chose.
    ///
    /// # Errors
    /// [`ResolveError`].
    #[tracing::instrument(name = "choose trace", skip_all)]
    pub async fn choose(
        &self,
        ticket_id: Uuid,
        trace_id: TraceId,
        staff_id: Uuid,
    ) -> Result<bool, ResolveError> {
        let mut conn = self.pool.acquire().await?;
        let now = self.clock.now();
        let mut tx = conn.begin().await?;
        if !store::repoint(
            &mut tx,
            ticket_id,
            trace_id,
            LinkOrigin::Chosen,
            now + WAIT_FOR_TRACE,
        )
        .await?
        {
            return Ok(false);
        }
        let detail = trace_id.to_string();
        event::append(
            &mut tx,
            &[ticket_id],
            TicketEventKind::Relinked,
            Some(staff_id),
            Some(&detail),
            now,
        )
        .await?;
        tx.commit().await?;
        self.link(&mut conn, trace_id).await?;
        Ok(true)
    }

    /// One transaction: failure computed from all parts, parts pinned, mails made due, history written. Run again
    /// for each later part, so that a failing span that came late is found too.
    pub(super) async fn link(
        &self,
        conn: &mut PgConnection,
        trace_id: TraceId,
    ) -> Result<(), ResolveError> {
        let now = self.clock.now();
        let mut tx = conn.begin().await?;
        let tickets = store::lock_by_trace(&mut tx, trace_id).await?;
        // After the lock: a part that was committed before is seen by this statement.
        let Some(stored) = traces::find(&mut tx, trace_id).await? else {
            return Ok(());
        };
        if tickets.is_empty() {
            return Ok(());
        }
        let failure = failure_of(trace_id, stored, Arc::clone(&self.rules)).await?;
        traces::pin(&mut tx, trace_id).await?;
        let news = store::mark_linked(&mut tx, &tickets, trace_id, failure.as_ref(), now).await?;
        let detail = trace_id.to_string();
        event::append(
            &mut tx,
            &news,
            TicketEventKind::Linked,
            None,
            Some(&detail),
            now,
        )
        .await?;
        for &ticket_id in &news {
            outbox::store::hasten(&mut tx, ticket_id).await?;
        }
        tx.commit().await?;
        if !news.is_empty() {
            self.outbox_wake.notify_one();
        }
        Ok(())
    }
}

async fn failure_of(
    trace_id: TraceId,
    stored: traces::StoredTrace,
    rules: Arc<FailureRules>,
) -> Result<Option<Failure>, ResolveError> {
    // Up to 64 MiB to decompress and walk: not on the thread that serves requests.
    let read =
        tokio::task::spawn_blocking(move || RawTrace::unpack(trace_id, &stored)?.failure(&rules));
    Ok(read.await??)
}
