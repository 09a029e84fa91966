//! What people do to a ticket: each thing takes effect once, however often its form is sent, and only on what its
//! sender saw. Each takes the ticket's lock, so that two at once come one after the other.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::event::TicketEventKind;
use super::status::TicketStatus;
use super::store::TicketEvent;
use crate::clock::new_id;

/// Who does something to which ticket, and what their form says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// The ticket.
    pub ticket_id: Uuid,
    /// Who, when it is staff; `None` for the reporter.
    pub staff_id: Option<Uuid>,
    /// Made for the form when it was shown: sent twice, it acts once.
    pub once: Option<Uuid>,
    /// The ticket's revision that the sender saw; `None` acts on whatever is there.
    pub seen: Option<i32>,
    /// When.
    pub now: DateTime<Utc>,
}

impl Act {
    /// An act of whoever needs no form: a reporter, a program, a demo.
    #[must_use]
    pub fn new(ticket_id: Uuid, staff_id: Option<Uuid>, now: DateTime<Utc>) -> Self {
        Self {
            ticket_id,
            staff_id,
            once: None,
            seen: None,
            now,
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the entry in the history.
    Done(Uuid),
    /// It is so already: the form was sent twice, or somebody else did the same.
    AlreadySo,
    /// Somebody else did something to the ticket that the sender has not seen.
    Overtaken,
    /// There is no such ticket.
    Gone,
}

/// A locked ticket, as it is now.
#[derive(Debug, Clone)]
pub struct Locked {
    /// Whose turn it is.
    pub status: TicketStatus,
    /// Who works on it.
    pub assignee_id: Option<Uuid>,
    /// Where its reporter is answered.
    pub email: Option<String>,
    revision: i32,
}

/// Locks the ticket until the transaction ends. `Err` when there is nothing to do any more.
///
/// # Errors
/// The database's.
pub async fn begin(
    tx: &mut PgConnection,
    act: &Act,
) -> Result<Result<Locked, Outcome>, sqlx::Error> {
    let locked = query_as!(
        Locked,
        r#"SELECT status AS "status: TicketStatus", assignee_id, email, revision
           FROM tickets WHERE id = $1 FOR UPDATE"#,
        act.ticket_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(locked) = locked else {
        return Ok(Err(Outcome::Gone));
    };
    if is_repeat(&mut *tx, act).await? {
        return Ok(Err(Outcome::AlreadySo));
    }
    let is_news = act.seen.is_some_and(|seen| seen != locked.revision);
    if is_news && !unseen(tx, act).await?.is_empty() {
        return Ok(Err(Outcome::Overtaken));
    }
    Ok(Ok(locked))
}

async fn is_repeat(conn: &mut PgConnection, act: &Act) -> Result<bool, sqlx::Error> {
    let Some(once) = act.once else {
        return Ok(false);
    };
    query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM ticket_events WHERE ticket_id = $1 AND once = $2) AS "is_repeat!""#,
        act.ticket_id,
        once,
    )
    .fetch_one(conn)
    .await
}

/// Most entries told to somebody who was overtaken, the newest.
const MAX_UNSEEN: i64 = 5;

/// What others did to the ticket that the sender has not seen, oldest first.
///
/// # Errors
/// The database's.
pub async fn unseen(conn: &mut PgConnection, act: &Act) -> Result<Vec<TicketEvent>, sqlx::Error> {
    let mut newest_first = query_as!(
        TicketEvent,
        r#"SELECT event.id, event.kind AS "kind: TicketEventKind", staff.email AS "staff_email?", detail,
                  event.created_at
           FROM ticket_events AS event LEFT JOIN staff ON staff.id = event.staff_id
           WHERE ticket_id = $1 AND revision > $2 AND staff_id IS DISTINCT FROM $3
           ORDER BY revision DESC LIMIT $4"#,
        act.ticket_id,
        act.seen.unwrap_or(i32::MAX),
        act.staff_id,
        MAX_UNSEEN,
    )
    .fetch_all(conn)
    .await?;
    newest_first.reverse();
    Ok(newest_first)
}

/// What is written down of a change.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// What was done.
    pub kind: TicketEventKind,
    /// More about it.
    pub detail: Option<&'a str>,
    /// The message that it is about.
    pub message_id: Option<Uuid>,
    /// What an undo brings back.
    pub before: Option<String>,
    /// Whose turn it is from now on.
    pub status: TicketStatus,
    /// Who works on it from now on.
    pub assignee_id: Option<Uuid>,
}

impl Locked {
    /// An entry that leaves status and assignee as they are.
    #[must_use]
    pub fn entry(&self, kind: TicketEventKind) -> Entry<'static> {
        Entry {
            kind,
            detail: None,
            message_id: None,
            before: None,
            status: self.status,
            assignee_id: self.assignee_id,
        }
    }
}

/// Writes the change to the ticket and into its history; the entry's ID.
///
/// # Errors
/// The database's.
pub async fn record(
    tx: &mut PgConnection,
    act: &Act,
    entry: &Entry<'_>,
) -> Result<Uuid, sqlx::Error> {
    let id = new_id();
    query!(
        "WITH ticket AS (
           UPDATE tickets SET revision = revision + 1, status = $7, assignee_id = $8, updated_at = $9
           WHERE id = $2 RETURNING revision
         )
         INSERT INTO ticket_events (id, ticket_id, kind, staff_id, detail, message_id, before, once, revision, created_at)
         SELECT $1, $2, $3, $4, $5, $6, $10, $11, revision, $9 FROM ticket",
        id,
        act.ticket_id,
        entry.kind as TicketEventKind,
        act.staff_id,
        entry.detail,
        entry.message_id,
        entry.status as TicketStatus,
        entry.assignee_id,
        act.now,
        entry.before,
        act.once,
    )
    .execute(tx)
    .await?;
    Ok(id)
}

/// The last thing that was done to a ticket, if an undo can bring back what was before.
#[derive(Debug, Clone)]
pub struct Undoable {
    /// What was done.
    pub kind: TicketEventKind,
    /// What was before.
    pub before: String,
}

/// What an undo of this entry brings back; `None` when something was done since, or it can't be undone.
///
/// # Errors
/// The database's.
pub async fn undoable(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    event_id: Uuid,
    staff_id: Uuid,
) -> Result<Option<Undoable>, sqlx::Error> {
    query_as!(
        Undoable,
        r#"SELECT event.kind AS "kind: TicketEventKind", event.before AS "before!"
           FROM ticket_events AS event JOIN tickets ON tickets.id = event.ticket_id
           WHERE event.id = $2 AND event.ticket_id = $1 AND event.staff_id = $3 AND event.before IS NOT NULL
             AND event.revision = tickets.revision"#,
        ticket_id,
        event_id,
        staff_id,
    )
    .fetch_optional(conn)
    .await
}
