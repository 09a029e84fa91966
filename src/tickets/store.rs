//! The SQL of tickets, their conversation and their history.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::event::{self, TicketEventKind};
use super::spam::SpamSign;
use super::status::TicketStatus;
use crate::clock::new_id;

/// A ticket as kept. Kind and source are the texts of their enums: the words belong to intake.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns, documented in migrations/0003_tickets.sql and 0011_guard.sql"
)]
pub struct Ticket {
    pub id: Uuid,
    pub reference: String,
    pub status: TicketStatus,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub source: String,
    pub kind: String,
    pub action: String,
    pub page_url: String,
    pub occurred_at: DateTime<Utc>,
    pub email: Option<String>,
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
        r#"SELECT id, reference, status AS "status: TicketStatus", created_at, updated_at, source::text AS "source!",
                  kind::text AS "kind!", action, page_url, occurred_at, email, spam_signs AS "spam_signs: Vec<SpamSign>"
           FROM tickets WHERE id = $1"#,
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

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "message_author", rename_all = "snake_case")]
pub enum MessageAuthor {
    /// The person who reported.
    Reporter,
    /// Support.
    Staff,
}

/// A message of a ticket's conversation.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who wrote it.
    pub author: MessageAuthor,
    /// The member of staff's address.
    pub staff_email: Option<String>,
    /// The text.
    pub body: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Most messages shown of a ticket, the newest: a conversation of a thousand is no conversation.
const MAX_MESSAGES: i64 = 1_000;
/// Most entries shown of a history, the newest.
const MAX_EVENTS: i64 = 1_000;

/// A ticket's conversation, oldest first.
///
/// # Errors
/// The database's.
pub async fn messages(
    conn: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<Vec<Message>, sqlx::Error> {
    let mut newest_first = query_as!(
        Message,
        r#"SELECT author AS "author: MessageAuthor", staff.email AS "staff_email?", body, message.created_at
           FROM messages AS message LEFT JOIN staff ON staff.id = message.staff_id
           WHERE ticket_id = $1 ORDER BY message.id DESC LIMIT $2"#,
        ticket_id,
        MAX_MESSAGES,
    )
    .fetch_all(conn)
    .await?;
    newest_first.reverse();
    Ok(newest_first)
}

/// The text of one message.
///
/// # Errors
/// The database's.
pub async fn message_body(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!("SELECT body FROM messages WHERE id = $1", id)
        .fetch_optional(conn)
        .await
}

/// An entry of a ticket's history.
#[derive(Debug, Clone)]
pub struct TicketEvent {
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
        r#"SELECT event.kind AS "kind: TicketEventKind", staff.email AS "staff_email?", detail, event.created_at
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

/// Adds a message, whose ID it returns, and what follows: the reporter's opens the ticket again, staff's makes it the reporter's turn.
///
/// # Errors
/// The database's.
pub async fn add_message(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    staff_id: Option<Uuid>,
    body: &str,
    now: DateTime<Utc>,
) -> Result<Uuid, sqlx::Error> {
    let (author, kind, status) = match staff_id {
        Some(_) => (
            MessageAuthor::Staff,
            TicketEventKind::Answered,
            TicketStatus::Pending,
        ),
        None => (
            MessageAuthor::Reporter,
            TicketEventKind::Replied,
            TicketStatus::Open,
        ),
    };
    let id = new_id();
    let mut tx = conn.begin().await?;
    query!(
        "INSERT INTO messages (id, ticket_id, author, staff_id, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        ticket_id,
        author as MessageAuthor,
        staff_id,
        body,
        now,
    )
    .execute(&mut *tx)
    .await?;
    // What was judged spam stays so, whoever writes to it.
    query!(
        "UPDATE tickets SET status = CASE status WHEN 'spam' THEN status ELSE $2 END, updated_at = $3 WHERE id = $1",
        ticket_id,
        status as TicketStatus,
        now,
    )
    .execute(&mut *tx)
    .await?;
    event::append(&mut tx, &[ticket_id], kind, staff_id, None, now).await?;
    tx.commit().await?;
    Ok(id)
}

/// Moves a ticket to another status, with its place in the history. `false` if it is there already, or gone.
///
/// # Errors
/// The database's.
pub async fn set_status(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    status: TicketStatus,
    staff_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let kind = match status {
        TicketStatus::Open | TicketStatus::Pending => TicketEventKind::Reopened,
        TicketStatus::Solved => TicketEventKind::Solved,
        TicketStatus::Spam => TicketEventKind::MarkedSpam,
    };
    let mut tx = conn.begin().await?;
    let changed = query!(
        // Out of spam only staff lead.
        "UPDATE tickets SET status = $2, updated_at = $3
         WHERE id = $1 AND status <> $2 AND ($4 OR status <> 'spam')",
        ticket_id,
        status as TicketStatus,
        now,
        staff_id.is_some(),
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    event::append(&mut tx, &[ticket_id], kind, staff_id, None, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Puts what was taken for spam into the queue, with its place in the history. `false` if it is not among the spam.
///
/// # Errors
/// The database's.
pub async fn reject_spam(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    staff_id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let changed = query!(
        "UPDATE tickets SET status = 'open', spam_signs = '{}', updated_at = $2 WHERE id = $1 AND status = 'spam'",
        ticket_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    let kind = TicketEventKind::NotSpam;
    event::append(conn, &[ticket_id], kind, Some(staff_id), None, now).await?;
    Ok(true)
}
