//! Finds the trace of a report that came without an ID: at once, again while later traces arrive, and for staff to
//! choose from.

use chrono::Duration;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use super::candidates::{self, Candidate};
use super::resolve::{ResolveError, Resolver};
use super::unlinked::{self, Unlinked};
use crate::tickets::event::{self, TicketEventKind};
use crate::traces::ids::TraceId;

/// Traces of what a person reports arrive within minutes of the report; later ones are for staff to choose.
const SUGGESTED_FOR: Duration = Duration::hours(1);
/// A look is followed by a rest this many times as long, so that in a rush of reports the looks, which are for later,
/// take a fifth of one connection's time from the reports themselves.
const SUGGESTION_REST: u32 = 4;
/// Tickets looked at in a sweep: each costs one query of some milliseconds.
const SWEPT_TICKETS: i64 = 50;

/// The traces that a ticket may be about, best first, without those that staff took away.
///
/// # Errors
/// The database's.
pub async fn candidates_of(
    conn: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<Vec<Candidate>, sqlx::Error> {
    match unlinked::unlinked(&mut *conn, ticket_id).await? {
        Some(ticket) => weigh(conn, &ticket).await,
        None => Ok(Vec::new()),
    }
}

async fn weigh(conn: &mut PgConnection, ticket: &Unlinked) -> Result<Vec<Candidate>, sqlx::Error> {
    let mut parts = unlinked::parts_near(conn, &ticket.wanted).await?;
    parts.retain(|part| !ticket.rejected_ids.contains(&part.trace_id));
    Ok(candidates::rank(&ticket.wanted, parts))
}

impl Resolver {
    /// Looks for the trace of a report that came without an ID, after its answer; the mail to staff goes out when the
    /// look is over. When one look runs already, the sweep does it, and the mail goes out at the end of its wait.
    pub fn suggest_later(&self, ticket_id: Uuid) {
        let Some(turn) = self.suggesting_turn() else {
            return;
        };
        let resolver = self.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let looked = resolver.suggest_now(ticket_id).await;
            if let Err(error) = looked {
                tracing::warn!(error = %error, "No trace could be suggested yet; the sweep looks again");
            }
            tokio::time::sleep(began.elapsed() * SUGGESTION_REST).await;
            drop(turn);
        });
    }

    async fn suggest_now(&self, ticket_id: Uuid) -> Result<(), ResolveError> {
        let mut conn = self.acquire().await?;
        self.suggest(&mut conn, ticket_id).await?;
        Ok(self.hasten(&mut conn, ticket_id).await?)
    }

    /// Links a ticket without a trace to the one clear winner, if there is one.
    ///
    /// # Errors
    /// [`ResolveError`]; the sweep looks again.
    pub async fn suggest(
        &self,
        conn: &mut PgConnection,
        ticket_id: Uuid,
    ) -> Result<bool, ResolveError> {
        let ranked = candidates_of(&mut *conn, ticket_id).await?;
        let Some(winner) = candidates::clear_winner(&ranked) else {
            return Ok(false);
        };
        let Some(trace_id) = TraceId::from_uuid(winner.summary.trace_id) else {
            return Ok(false);
        };
        let now = self.now();
        let mut tx = conn.begin().await?;
        if !unlinked::point_by_fit(&mut tx, ticket_id, trace_id, now).await? {
            return Ok(false);
        }
        let detail = format!("{trace_id}: {}", winner.reasons.join(", "));
        event::append(
            &mut tx,
            &[ticket_id],
            TicketEventKind::Suggested,
            None,
            Some(&detail),
            now,
        )
        .await?;
        tx.commit().await?;
        self.link(conn, trace_id).await?;
        Ok(true)
    }

    /// Looks again for recent tickets without a trace.
    ///
    /// # Errors
    /// [`ResolveError`]; the next sweep goes on.
    pub async fn sweep_suggestions(&self) -> Result<(), ResolveError> {
        let mut conn = self.acquire().await?;
        for ticket_id in
            unlinked::unlinked_since(&mut conn, self.now() - SUGGESTED_FOR, SWEPT_TICKETS).await?
        {
            if let Err(error) = self.suggest(&mut conn, ticket_id).await {
                tracing::error!(error = %error, ticket.id = %ticket_id, "No trace could be suggested for a ticket");
            }
        }
        Ok(())
    }

    /// Takes a ticket's trace away: staff say that it is another one's.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn reject(&self, ticket_id: Uuid, staff_id: Uuid) -> Result<bool, ResolveError> {
        let mut conn = self.acquire().await?;
        let mut tx = conn.begin().await?;
        let Some(rejected) = unlinked::reject(&mut tx, ticket_id).await? else {
            return Ok(false);
        };
        let detail = TraceId::from_uuid(rejected).map(|id| id.to_string());
        let event = TicketEventKind::Unlinked;
        event::append(
            &mut tx,
            &[ticket_id],
            event,
            Some(staff_id),
            detail.as_deref(),
            self.now(),
        )
        .await?;
        tx.commit().await?;
        Ok(true)
    }
}
