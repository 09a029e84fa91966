//! The outbox in Postgres: the only SQL on `outbox`. Leases go by the database's clock and are fenced: finishing a mail
//! whose lease was lost changes nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::new_id;

/// What a mail is for; says which templates make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "mail_kind", rename_all = "snake_case")]
pub enum MailKind {
    /// Tells staff of a new ticket.
    StaffNotice,
    /// Tells staff that the reporter wrote again.
    ReplyNotice,
    /// Tells the reporter that we have the report, and where to follow it.
    ReportReceived,
    /// Tells the reporter that staff wrote.
    Answered,
    /// Tells the reporter that staff closed the ticket.
    Solved,
    /// Gives the reporter, who asked for it, fresh links to their open tickets.
    LostLinks,
}

impl MailKind {
    /// Whether it is better with the ticket's trace, and goes as soon as that is here.
    #[must_use]
    pub fn awaits_trace(self) -> bool {
        matches!(self, Self::StaffNotice | Self::ReportReceived)
    }

    /// What it is, in words for staff.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::StaffNotice => "Notice to staff: new report",
            Self::ReplyNotice => "Notice to staff: the reporter wrote",
            Self::ReportReceived => "To the reporter: received",
            Self::Answered => "To the reporter: answer",
            Self::Solved => "To the reporter: solved",
            Self::LostLinks => "To the reporter: lost links",
        }
    }
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "mail_state", rename_all = "snake_case")]
pub enum MailState {
    /// To be sent, or being sent.
    Queued,
    /// Taken by the mail server.
    Sent,
    /// Refused for good, or given up after [`super::backoff::GIVE_UP_AFTER`].
    Failed,
}

impl MailState {
    /// The name in Postgres and in addresses of pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// A mail to be queued.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// From [`new_id`].
    pub id: Uuid,
    /// The ticket it is about.
    pub ticket_id: Uuid,
    /// What it is for.
    pub kind: MailKind,
    /// One address, with or without a name.
    pub recipient: String,
    /// From [`super::message::new_message_id`].
    pub message_id: String,
    /// The message that it carries, if it carries one.
    pub message: Option<Uuid>,
    /// How long it may wait, for the ticket's trace or for its cause to be undone; zero sends it at once.
    pub grace: Duration,
    /// When its cause happened.
    pub created_at: DateTime<Utc>,
}

/// A mail that this worker holds until its lease ends.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The mail.
    pub id: Uuid,
    /// The ticket it is about.
    pub ticket_id: Uuid,
    /// What it is for.
    pub kind: MailKind,
    /// One address, with or without a name.
    pub recipient: String,
    /// Made once, so that a repeat can be recognised.
    pub message_id: String,
    /// The message that it carries, if it carries one.
    pub message: Option<Uuid>,
    /// How often a mail server has answered about it.
    pub attempts: i32,
    /// When its cause happened.
    pub created_at: DateTime<Utc>,
    /// The fence.
    pub lease_id: Uuid,
}

/// Queues a mail.
///
/// # Errors
/// When the database can't be reached, or the ticket does not exist.
pub async fn enqueue(conn: &mut PgConnection, mail: &NewMail) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO outbox (id, ticket_id, kind, recipient, message_id, state, due_at, awaits_trace, created_at, message)
         VALUES ($1, $2, $3, $4, $5, 'queued', now() + make_interval(secs => $6), $7, $8, $9)",
        mail.id,
        mail.ticket_id,
        mail.kind as MailKind,
        mail.recipient,
        mail.message_id,
        mail.grace.as_secs_f64(),
        !mail.grace.is_zero() && mail.kind.awaits_trace(),
        mail.created_at,
        mail.message,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether there ever was a mail about a ticket.
///
/// # Errors
/// When the database can't be reached.
pub async fn has_any(conn: &mut PgConnection, ticket_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM outbox WHERE ticket_id = $1) AS "exists!""#,
        ticket_id
    )
    .fetch_one(conn)
    .await
}

/// Takes up to `limit` due mails, oldest first, for the time of a lease. From here on they wait for no trace.
///
/// # Errors
/// When the database can't be reached.
pub async fn claim_due(
    conn: &mut PgConnection,
    limit: usize,
    lease: Duration,
) -> Result<Vec<Claimed>, sqlx::Error> {
    sqlx::query_as!(
        Claimed,
        r#"WITH due AS (
             SELECT id FROM outbox
             WHERE state = 'queued' AND due_at <= now() AND (leased_until IS NULL OR leased_until <= now())
             ORDER BY due_at
             LIMIT $1
             FOR UPDATE SKIP LOCKED  -- other nodes take other mails instead of waiting for these
           )
           UPDATE outbox SET lease_id = $2, leased_until = now() + make_interval(secs => $3), awaits_trace = false
           FROM due WHERE outbox.id = due.id
           RETURNING outbox.id, ticket_id, kind AS "kind: MailKind", recipient, message_id, message, attempts,
                     created_at, lease_id AS "lease_id!""#,
        i64::try_from(limit).unwrap_or(i64::MAX),
        new_id(),
        lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
}

/// Marks a mail as sent and writes that into its ticket's history. `false` if the lease was lost: nothing changes then.
///
/// # Errors
/// When the database can't be reached.
pub async fn finish_sent(
    conn: &mut PgConnection,
    mail: &Claimed,
    response: &str,
    at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "WITH done AS (
           UPDATE outbox SET state = 'sent', attempts = attempts + 1, last_response = $3, finished_at = $4,
                             lease_id = NULL, leased_until = NULL
           WHERE id = $1 AND lease_id = $2 AND state = 'queued'
           RETURNING ticket_id, recipient
         )
         INSERT INTO ticket_events (id, ticket_id, kind, detail, created_at)
         SELECT $5, ticket_id, 'mail_sent', recipient, $4 FROM done",
        mail.id,
        mail.lease_id,
        response,
        at,
        new_id(),
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Marks a mail as failed for good, keeps what the server said, and writes both into its ticket's history. `false` if
/// the lease was lost: nothing changes then.
///
/// # Errors
/// When the database can't be reached.
pub async fn finish_failed(
    conn: &mut PgConnection,
    mail: &Claimed,
    response: &str,
    at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "WITH done AS (
           UPDATE outbox SET state = 'failed', attempts = attempts + 1, last_response = $3, finished_at = $4,
                             lease_id = NULL, leased_until = NULL
           WHERE id = $1 AND lease_id = $2 AND state = 'queued'
           RETURNING ticket_id, recipient
         )
         INSERT INTO ticket_events (id, ticket_id, kind, detail, created_at)
         SELECT $5, ticket_id, 'mail_failed', recipient || ': ' || $3, $4 FROM done",
        mail.id,
        mail.lease_id,
        response,
        at,
        new_id(),
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Counts an attempt and makes the mail due again after `delay`. `false` if the lease was lost: nothing changes then.
///
/// # Errors
/// When the database can't be reached.
pub async fn retry_later(
    conn: &mut PgConnection,
    mail: &Claimed,
    response: &str,
    delay: Duration,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "UPDATE outbox SET attempts = attempts + 1, last_response = $3, due_at = now() + make_interval(secs => $4),
                           lease_id = NULL, leased_until = NULL
         WHERE id = $1 AND lease_id = $2 AND state = 'queued'",
        mail.id,
        mail.lease_id,
        response,
        delay.as_secs_f64(),
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Holds a mail for a while, for the reason given: no attempt is counted. `false` if the lease was lost: nothing changes
/// then.
///
/// # Errors
/// When the database can't be reached.
pub async fn hold(
    conn: &mut PgConnection,
    mail: &Claimed,
    reason: &str,
    delay: Duration,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "UPDATE outbox SET last_response = $3, due_at = now() + make_interval(secs => $4), lease_id = NULL,
                           leased_until = NULL
         WHERE id = $1 AND lease_id = $2 AND state = 'queued'",
        mail.id,
        mail.lease_id,
        reason,
        delay.as_secs_f64(),
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Gives a mail back as it was, because no server could be reached: no attempt is counted. `false` if the lease was
/// lost: nothing changes then.
///
/// # Errors
/// When the database can't be reached.
pub async fn release(
    conn: &mut PgConnection,
    mail: &Claimed,
    response: &str,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "UPDATE outbox SET last_response = $3, lease_id = NULL, leased_until = NULL
         WHERE id = $1 AND lease_id = $2 AND state = 'queued'",
        mail.id,
        mail.lease_id,
        response,
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Makes the mails of a ticket due now that wait for its trace. Answers how many; wake the worker after the commit.
///
/// # Errors
/// When the database can't be reached.
pub async fn hasten(conn: &mut PgConnection, ticket_id: Uuid) -> Result<u64, sqlx::Error> {
    let written = sqlx::query!(
        "UPDATE outbox SET due_at = now(), awaits_trace = false
         WHERE ticket_id = $1 AND state = 'queued' AND awaits_trace",
        ticket_id,
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected())
}

/// Takes back a ticket's mails of a kind that nobody is sending yet.
///
/// # Errors
/// When the database can't be reached.
pub async fn withdraw(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    kind: MailKind,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM outbox
         WHERE ticket_id = $1 AND kind = $2 AND state = 'queued' AND (leased_until IS NULL OR leased_until <= now())",
        ticket_id,
        kind as MailKind,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Queues a failed mail again, with all its attempts. `false` if it is not a failed mail.
///
/// # Errors
/// When the database can't be reached.
pub async fn requeue(conn: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "UPDATE outbox SET state = 'queued', due_at = now(), attempts = 0, finished_at = NULL
         WHERE id = $1 AND state = 'failed'",
        id,
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}
