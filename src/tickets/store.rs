//! The SQL of tickets and their history.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::event::TicketEventKind;
use super::recovery::RecoveryStep;
use super::spam::SpamSign;
use super::status::TicketStatus;

/// A ticket as kept. Kind and source are the texts of their enums: the words belong to intake.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns, documented in migrations/0003_tickets.sql, 0009_readers.sql, 0011_guard.sql and \
              0013_conversation.sql"
)]
pub struct Ticket {
    pub id: Uuid,
    pub reference: String,
    pub status: TicketStatus,
    pub assignee_id: Option<Uuid>,
    pub assignee: Option<String>,
    pub revision: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub source: String,
    pub kind: String,
    pub action: String,
    pub page_url: String,
    pub occurred_at: DateTime<Utc>,
    pub email: Option<String>,
    pub language: String,
    pub tried: Vec<RecoveryStep>,
    pub spam_signs: Vec<SpamSign>,
}

impl Ticket {
    /// Whose turn it is, for the reporter: whoever sends spam can't tell that tracedesk took it for such.
    #[must_use]
    pub fn status_for_reporter(&self) -> TicketStatus {
        if self.status == TicketStatus::Spam && !self.spam_signs.is_empty() {
            TicketStatus::Open
        } else {
            self.status
        }
    }
}

/// The ticket with this ID.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<Ticket>, sqlx::Error> {
    query_as!(
        Ticket,
        r#"SELECT ticket.id, reference, status AS "status: TicketStatus", assignee_id, staff.email AS "assignee?",
                  revision, ticket.created_at, updated_at, source::text AS "source!", kind::text AS "kind!", action,
                  page_url, occurred_at, ticket.email, language, tried AS "tried: Vec<RecoveryStep>",
                  spam_signs AS "spam_signs: Vec<SpamSign>"
           FROM tickets AS ticket LEFT JOIN staff ON staff.id = assignee_id WHERE ticket.id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
}

/// The ticket that a reporter's link opens.
///
/// # Errors
/// The database's.
pub async fn find_by_token(
    conn: &mut PgConnection,
    token_hash: [u8; 32],
) -> Result<Option<Uuid>, sqlx::Error> {
    query_scalar!(
        r#"SELECT id AS "id!" FROM tickets WHERE token_hash = $1
           UNION ALL SELECT ticket_id FROM ticket_tokens WHERE token_hash = $1"#,
        &token_hash[..]
    )
    .fetch_optional(conn)
    .await
}

/// Gives a ticket a further link.
///
/// # Errors
/// The database's.
pub async fn add_token(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO ticket_tokens (token_hash, ticket_id, created_at) VALUES ($1, $2, $3)",
        &token_hash[..],
        ticket_id,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The ticket of this reference.
///
/// # Errors
/// The database's.
pub async fn find_by_reference(
    conn: &mut PgConnection,
    reference: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    query_scalar!("SELECT id FROM tickets WHERE reference = $1", reference)
        .fetch_optional(conn)
        .await
}

/// Most entries shown of a history, the newest.
const MAX_EVENTS: i64 = 1_000;

/// An entry of a ticket's history.
#[derive(Debug, Clone)]
pub struct TicketEvent {
    /// The entry.
    pub id: Uuid,
    /// What happened.
    pub kind: TicketEventKind,
    /// Who did it, when it was staff.
    pub staff_email: Option<String>,
    /// More about it.
    pub detail: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A ticket's history, oldest first.
///
/// # Errors
/// The database's.
pub async fn events(
    conn: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<Vec<TicketEvent>, sqlx::Error> {
    let mut newest_first = query_as!(
        TicketEvent,
        r#"SELECT event.id, event.kind AS "kind: TicketEventKind", staff.email AS "staff_email?", detail,
                  event.created_at
           FROM ticket_events AS event LEFT JOIN staff ON staff.id = event.staff_id
           WHERE ticket_id = $1 ORDER BY event.id DESC LIMIT $2"#,
        ticket_id,
        MAX_EVENTS,
    )
    .fetch_all(conn)
    .await?;
    newest_first.reverse();
    Ok(newest_first)
}
