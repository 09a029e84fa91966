//! The SQL of a ticket's conversation: what was said, by whom and for whom.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::change::{self, Act, Outcome};
use super::event::TicketEventKind;
use super::status::TicketStatus;
use crate::clock::new_id;

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "message_author", rename_all = "snake_case")]
pub enum MessageAuthor {
    /// The person who reported.
    Reporter,
    /// Support.
    Staff,
}

/// Who reads: notes among staff are for nobody else, and neither are their pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The person who reported.
    Reporter,
    /// Support.
    Staff,
}

impl Audience {
    /// Whether notes among staff are shown.
    #[must_use]
    pub fn sees_notes(self) -> bool {
        self == Self::Staff
    }
}

/// A message of a ticket's conversation.
#[derive(Debug, Clone)]
pub struct Message {
    /// The message.
    pub id: Uuid,
    /// Who wrote it.
    pub author: MessageAuthor,
    /// The member of staff's address.
    pub staff_email: Option<String>,
    /// Whether it is a note among staff.
    pub is_internal: bool,
    /// The text.
    pub body: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Whether the reporter found it helpful, if they said so.
    pub is_helpful: Option<bool>,
    /// What the reporter added to that.
    pub rating_line: Option<String>,
}

/// Most messages shown of a ticket, the newest: a conversation of a thousand is no conversation.
const MAX_MESSAGES: i64 = 1_000;

/// A ticket's conversation, oldest first.
///
/// # Errors
/// The database's.
pub async fn messages(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    audience: Audience,
) -> Result<Vec<Message>, sqlx::Error> {
    let mut newest_first = query_as!(
        Message,
        r#"SELECT message.id, author AS "author: MessageAuthor", staff.email AS "staff_email?", is_internal, body,
                  message.created_at, is_helpful AS "is_helpful?", line AS "rating_line?"
           FROM messages AS message
           LEFT JOIN staff ON staff.id = message.staff_id
           LEFT JOIN answer_ratings ON message_id = message.id
           WHERE ticket_id = $1 AND (NOT is_internal OR $2)
           ORDER BY message.id DESC LIMIT $3"#,
        ticket_id,
        audience.sees_notes(),
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

/// What somebody says.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The text, valid.
    pub body: &'a str,
    /// Whether it is a note among staff.
    pub is_internal: bool,
    /// Under which its screenshots are kept until now.
    pub draft_hash: Option<[u8; 32]>,
    /// Whether the ticket is solved with it.
    pub solves: bool,
}

impl<'a> Said<'a> {
    /// Words alone, for everybody.
    #[must_use]
    pub fn text(body: &'a str) -> Self {
        Self {
            body,
            is_internal: false,
            draft_hash: None,
            solves: false,
        }
    }
}

/// A message that was added.
#[derive(Debug, Clone)]
pub struct Added {
    /// The message.
    pub message_id: Uuid,
    /// Where the reporter is answered.
    pub email: Option<String>,
    /// Whose turn it is now.
    pub status: TicketStatus,
}

/// Adds a message with its screenshots, and what follows: the reporter's opens the ticket again, an answer makes it the
/// reporter's turn or solves it, a note changes nothing. To be called in a transaction.
///
/// # Errors
/// The database's.
pub async fn say(
    tx: &mut PgConnection,
    act: &Act,
    said: &Said<'_>,
) -> Result<Result<Added, Outcome>, sqlx::Error> {
    let act = &own_form(&mut *tx, act, said.body).await?;
    let locked = match change::begin(&mut *tx, act).await? {
        Ok(locked) => locked,
        Err(outcome) => return Ok(Err(outcome)),
    };
    let message_id = new_id();
    insert(&mut *tx, act, said, message_id).await?;
    let (kind, status) = match (act.staff_id, said.is_internal) {
        (Some(_), true) => (TicketEventKind::Noted, locked.status),
        (Some(_), false) if said.solves => (TicketEventKind::Answered, TicketStatus::Solved),
        (Some(_), false) => (TicketEventKind::Answered, TicketStatus::Pending),
        (None, _) => (TicketEventKind::Replied, TicketStatus::Open),
    };
    // What was judged spam stays so, whoever writes to it.
    let status = match locked.status {
        TicketStatus::Spam => TicketStatus::Spam,
        _ => status,
    };
    let entry = change::Entry {
        status,
        message_id: Some(message_id),
        detail: (said.solves && status == TicketStatus::Solved).then_some("and solved"),
        ..locked.entry(kind)
    };
    change::record(tx, act, &entry).await?;
    Ok(Ok(Added {
        message_id,
        email: locked.email,
        status,
    }))
}

/// A browser may bring a form back as it was before it was sent, and somebody writes something else into it: that is
/// no repeat.
async fn own_form(conn: &mut PgConnection, act: &Act, body: &str) -> Result<Act, sqlx::Error> {
    let Some(once) = act.once else {
        return Ok(*act);
    };
    let is_other = query_scalar!(
        r#"SELECT EXISTS (
             SELECT 1 FROM ticket_events AS event JOIN messages ON messages.id = event.message_id
             WHERE event.ticket_id = $1 AND once = $2 AND body <> $3
           ) AS "is_other!""#,
        act.ticket_id,
        once,
        body,
    )
    .fetch_one(conn)
    .await?;
    Ok(Act {
        once: act.once.filter(|_| !is_other),
        ..*act
    })
}

async fn insert(
    tx: &mut PgConnection,
    act: &Act,
    said: &Said<'_>,
    message_id: Uuid,
) -> Result<(), sqlx::Error> {
    let author = match act.staff_id {
        Some(_) => MessageAuthor::Staff,
        None => MessageAuthor::Reporter,
    };
    query!(
        "INSERT INTO messages (id, ticket_id, author, staff_id, body, is_internal, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        message_id,
        act.ticket_id,
        author as MessageAuthor,
        act.staff_id,
        said.body,
        said.is_internal,
        act.now,
    )
    .execute(&mut *tx)
    .await?;
    let Some(hash) = said.draft_hash else {
        return Ok(());
    };
    query!(
        "UPDATE attachments SET ticket_id = $1, message_id = $2, draft_hash = NULL WHERE draft_hash = $3",
        act.ticket_id,
        message_id,
        &hash[..],
    )
    .execute(tx)
    .await
    .map(drop)
}
