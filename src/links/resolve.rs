//! The one resolver: links tickets to traces, whichever came first.
//!
//! There is no lost race and no lock between the two arrivals: a report looks for its trace after it committed, and
//! a batch of spans looks for waiting tickets after it committed, so whichever commits last sees the other. A sweep
//! covers a crash between commit and look.

use std::sync::Arc;

use chrono::Duration;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Notify;
use uuid::Uuid;

use super::state::{LinkOrigin, LinkState};
use super::store::{self, Link};
use crate::clock::Clock;
use crate::outbox;
use crate::tickets::event::{self, TicketEventKind};
use crate::traces::assemble::{RawTrace, ReadError};
use crate::traces::failure::Failure;
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::store as traces;

/// How long a link waits for its trace before it counts as missing: SDKs send within seconds, collectors that
/// sample by tail within minutes.
pub const WAIT_FOR_TRACE: Duration = Duration::minutes(15);
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
    pool: PgPool,
    clock: Clock,
    /// Wakes the mail worker when a waiting mail became due.
    outbox_wake: Arc<Notify>,
}

impl Resolver {
    /// A resolver on this database.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock, outbox_wake: Arc<Notify>) -> Self {
        Self {
            pool,
            clock,
            outbox_wake,
        }
    }

    /// To be called after spans of these traces were committed.
    ///
    /// # Errors
    /// [`ResolveError`]; nothing is lost, the sweep looks again.
    pub async fn traces_stored(&self, ids: &[TraceId]) -> Result<(), ResolveError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
        let mut conn = self.pool.acquire().await?;
        let wanted = store::traces_with_tickets(&mut conn, &ids).await?;
        for trace_id in wanted.into_iter().filter_map(TraceId::from_uuid) {
            self.link(&mut conn, trace_id).await?;
        }
        Ok(())
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
        if link.state == LinkState::None || link.state == LinkState::Linked {
            return Ok(Some(link));
        }
        if self.look(&mut conn, &link).await? {
            return Ok(store::find(&mut conn, ticket_id).await?);
        }
        Ok(Some(link))
    }

    /// Looks for every waiting link's trace and ends the waits that are over. At start-up and every minute.
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
            for link in &page {
                self.look(&mut conn, link).await?;
            }
        }
        let now = self.clock.now();
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

    /// Links the first reading that is stored. Returns whether there was one.
    async fn look(&self, conn: &mut PgConnection, link: &Link) -> Result<bool, ResolveError> {
        let candidates = link.candidates();
        let ids: Vec<Uuid> = candidates.iter().map(|id| id.as_uuid()).collect();
        let stored = traces::stored_among(&mut *conn, &ids).await?;
        if let Some(&found) = candidates.iter().find(|id| stored.contains(&id.as_uuid())) {
            self.link(conn, found).await?;
            return Ok(true);
        }
        let Some(span_id) = store::span_of(link) else {
            return Ok(false);
        };
        let Some(found) = trace_of_span(&mut *conn, span_id).await? else {
            return Ok(false);
        };
        let waiting_until = self.clock.now() + WAIT_FOR_TRACE;
        store::repoint(
            &mut *conn,
            link.ticket_id,
            found,
            LinkOrigin::Stated,
            waiting_until,
        )
        .await?;
        self.link(conn, found).await?;
        Ok(true)
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
    async fn link(&self, conn: &mut PgConnection, trace_id: TraceId) -> Result<(), ResolveError> {
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
        let failure = failure_of(trace_id, stored).await?;
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

/// The trace in which a span is stored, if what was typed is a span's ID.
///
/// # Errors
/// [`ResolveError`].
pub async fn trace_of_span(
    conn: &mut PgConnection,
    span_id: SpanId,
) -> Result<Option<TraceId>, ResolveError> {
    for trace_id in traces::candidates_by_span(&mut *conn, span_id).await? {
        let Some(stored) = traces::find(&mut *conn, trace_id).await? else {
            continue;
        };
        let raw = RawTrace::unpack(trace_id, &stored)?;
        if raw.spans()?.0.iter().any(|placed| placed.id == span_id) {
            return Ok(Some(trace_id));
        }
    }
    Ok(None)
}

async fn failure_of(
    trace_id: TraceId,
    stored: traces::StoredTrace,
) -> Result<Option<Failure>, ResolveError> {
    // Up to 64 MiB to decompress and walk: not on the thread that serves requests.
    let read = tokio::task::spawn_blocking(move || RawTrace::unpack(trace_id, &stored)?.failure());
    Ok(read.await??)
}
