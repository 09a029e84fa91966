//! Mails as staff see them: the reading SQL on `outbox`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::admission::HELD;
use super::store::{MailKind, MailState};

/// A mail as Desk > Mail shows it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The mail.
    pub id: Uuid,
    /// The ticket it is about.
    pub ticket_id: Uuid,
    /// That ticket's reference.
    pub reference: String,
    /// What it is for.
    pub kind: MailKind,
    /// One address, with or without a name.
    pub recipient: String,
    /// What became of it.
    pub state: MailState,
    /// Not tried before this time, while queued.
    pub due_at: DateTime<Utc>,
    /// Whether it waits for the ticket's trace until then.
    pub awaits_trace: bool,
    /// How often a mail server has answered about it.
    pub attempts: i32,
    /// What the mail server, or the network, said last.
    pub last_response: Option<String>,
    /// When its cause happened.
    pub created_at: DateTime<Utc>,
    /// When it was sent or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Mail {
    /// Whether it waits because its recipient had many within the hour.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state == MailState::Queued && self.last_response.as_deref() == Some(HELD)
    }
}

/// Up to `limit` mails, newest first, before the given creation time and ID.
///
/// # Errors
/// When the database can't be reached.
pub async fn recent(
    conn: &mut PgConnection,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Mail>, sqlx::Error> {
    // No mail is younger than this, so it stands for "from the start".
    let (before_at, before_id) =
        before.unwrap_or((DateTime::<Utc>::from_timestamp_nanos(i64::MAX), Uuid::max()));
    sqlx::query_as!(
        Mail,
        r#"SELECT outbox.id, ticket_id, reference, outbox.kind AS "kind: MailKind", recipient,
                  state AS "state: MailState", due_at, awaits_trace, attempts, last_response, outbox.created_at,
                  finished_at
           FROM outbox JOIN tickets ON tickets.id = ticket_id
           WHERE (outbox.created_at, outbox.id) < ($1, $2)
           ORDER BY outbox.created_at DESC, outbox.id DESC
           LIMIT $3"#,
        before_at,
        before_id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// The mails of a ticket, oldest first: a few, one a recipient.
///
/// # Errors
/// When the database can't be reached.
pub async fn of_ticket(conn: &mut PgConnection, ticket_id: Uuid) -> Result<Vec<Mail>, sqlx::Error> {
    sqlx::query_as!(
        Mail,
        r#"SELECT outbox.id, ticket_id, reference, outbox.kind AS "kind: MailKind", recipient,
                  state AS "state: MailState", due_at, awaits_trace, attempts, last_response, outbox.created_at,
                  finished_at
           FROM outbox JOIN tickets ON tickets.id = ticket_id
           WHERE ticket_id = $1
           ORDER BY outbox.created_at, outbox.id"#,
        ticket_id,
    )
    .fetch_all(conn)
    .await
}

/// One mail.
///
/// # Errors
/// When the database can't be reached.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<Mail>, sqlx::Error> {
    sqlx::query_as!(
        Mail,
        r#"SELECT outbox.id, ticket_id, reference, outbox.kind AS "kind: MailKind", recipient,
                  state AS "state: MailState", due_at, awaits_trace, attempts, last_response, outbox.created_at,
                  finished_at
           FROM outbox JOIN tickets ON tickets.id = ticket_id
           WHERE outbox.id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
}
