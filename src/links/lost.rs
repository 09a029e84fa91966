//! Lost links, mailed again on request. The request is a row, written alike for every address, and the answer says
//! nothing of the address; a task turns rows into mails.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use crate::clock::new_id;
use crate::config::Config;
use crate::outbox::message::new_message_id;
use crate::outbox::store::{self as outbox, MailKind, NewMail};

/// Requests taken in a turn.
const REQUESTS_A_TURN: i64 = 100;
/// One such mail in this time to an address: whoever asks again finds the first.
const ONE_MAIL_IN: TimeDelta = TimeDelta::hours(1);
/// Tickets in one mail, the newest.
const MAX_LINKED: i64 = 20;

/// Keeps a request for the links of an address, whether it is known or not.
///
/// # Errors
/// The database's.
pub async fn ask(
    conn: &mut PgConnection,
    email: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO link_requests (email, requested_at) VALUES (lower($1), $2) ON CONFLICT DO NOTHING",
        email,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Turns requests into mails, those of addresses with open tickets. Returns how many mails there are to send.
///
/// # Errors
/// The database's; the next turn goes on.
pub async fn answer_requests(
    conn: &mut PgConnection,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<usize, sqlx::Error> {
    let mut mails = 0;
    loop {
        let mut tx = conn.begin().await?;
        let emails = query_scalar!(
            "DELETE FROM link_requests WHERE email IN (
               SELECT email FROM link_requests ORDER BY requested_at LIMIT $1 FOR UPDATE SKIP LOCKED
             ) RETURNING email",
            REQUESTS_A_TURN,
        )
        .fetch_all(&mut *tx)
        .await?;
        if emails.is_empty() {
            return Ok(mails);
        }
        for email in &emails {
            if let Some(ticket_id) = newest_open(&mut tx, email, now).await? {
                outbox::enqueue(&mut tx, &new_mail(config, ticket_id, email, now)).await?;
                mails += 1;
            }
        }
        tx.commit().await?;
    }
}

/// The newest open ticket of an address, unless a mail of links was written to it lately.
async fn newest_open(
    conn: &mut PgConnection,
    email: &str,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, sqlx::Error> {
    query_scalar!(
        "SELECT id FROM tickets
         WHERE lower(email) = $1 AND status IN ('open', 'pending') AND NOT EXISTS (
           SELECT 1 FROM outbox WHERE kind = 'lost_links' AND lower(recipient) = $1 AND created_at > $2
         )
         ORDER BY created_at DESC LIMIT 1",
        email,
        now - ONE_MAIL_IN,
    )
    .fetch_optional(conn)
    .await
}

fn new_mail(config: &Config, ticket_id: Uuid, email: &str, now: DateTime<Utc>) -> NewMail {
    NewMail {
        id: new_id(),
        ticket_id,
        kind: MailKind::LostLinks,
        recipient: email.to_owned(),
        message_id: new_message_id(config.mail_from.email.domain()),
        message: None,
        grace: Duration::ZERO,
        created_at: now,
    }
}

/// A ticket whose link was lost.
#[derive(Debug, Clone)]
pub struct LostTicket {
    /// The ticket.
    pub id: Uuid,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// `chat`, `upload`, `workflow`, `api`, `other`.
    pub kind: String,
    /// When the report came.
    pub created_at: DateTime<Utc>,
}

/// The open tickets of an address, newest first.
///
/// # Errors
/// The database's.
pub async fn open_tickets(
    conn: &mut PgConnection,
    email: &str,
) -> Result<Vec<LostTicket>, sqlx::Error> {
    query_as!(
        LostTicket,
        r#"SELECT id, reference, kind::text AS "kind!", created_at FROM tickets
           WHERE lower(email) = lower($1) AND status IN ('open', 'pending') ORDER BY created_at DESC LIMIT $2"#,
        email,
        MAX_LINKED,
    )
    .fetch_all(conn)
    .await
}
