//! What happened to a ticket: its history, append only.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query};
use uuid::Uuid;

use crate::clock::new_id;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "ticket_event_kind", rename_all = "snake_case")]
pub enum TicketEventKind {
    /// The report opened the ticket.
    Opened,
    /// Its trace was found.
    Linked,
    /// A trace was linked because page, time and failure fit.
    Suggested,
    /// The wait for its trace was over.
    LinkMissing,
    /// Staff pointed it at another trace.
    Relinked,
    /// Staff said that the trace is not this ticket's.
    Unlinked,
    /// The reporter wrote.
    Replied,
    /// Staff wrote.
    Answered,
    /// Closed.
    Solved,
    /// Opened again.
    Reopened,
    /// Judged spam.
    MarkedSpam,
    /// Staff said that it is no spam.
    NotSpam,
    /// A mail went out.
    MailSent,
    /// A mail was refused or given up.
    MailFailed,
    /// Staff wrote a note among themselves.
    Noted,
    /// Given to a member of staff.
    Assigned,
    /// Taken from whoever had it.
    Unassigned,
    /// Staff took back what they had done.
    Undone,
    /// The reporter said whether an answer helped.
    Rated,
    /// A later trace of the same user and route shows success.
    Recovered,
}

/// Appends one event of this kind to each ticket.
///
/// # Errors
/// The database's.
pub async fn append(
    conn: &mut PgConnection,
    ticket_ids: &[Uuid],
    kind: TicketEventKind,
    staff_id: Option<Uuid>,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ticket_ids.iter().map(|_| new_id()).collect();
    query!(
        "INSERT INTO ticket_events (id, ticket_id, kind, staff_id, detail, created_at)
         SELECT id, ticket_id, $3, $4, $5, $6 FROM unnest($1::uuid[], $2::uuid[]) AS event (id, ticket_id)",
        &ids,
        ticket_ids,
        kind as TicketEventKind,
        staff_id,
        detail,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}
