//! What is said and decided on a ticket, with the mails that tell the other side: one transaction each.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::clock::new_id;
use crate::config::Config;
use crate::outbox::message::new_message_id;
use crate::outbox::store::{self as outbox, MailKind, NewMail};
use crate::tickets::status::TicketStatus;
use crate::tickets::store as tickets;

type Time = chrono::DateTime<chrono::Utc>;

/// Staff answer; the reporter who left an address gets a mail.
///
/// # Errors
/// The database's.
pub async fn answer(
    conn: &mut PgConnection,
    config: &Config,
    ticket_id: Uuid,
    staff_id: Uuid,
    body: &str,
    now: Time,
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    tickets::add_message(&mut tx, ticket_id, Some(staff_id), body, now).await?;
    tell_reporter(&mut tx, config, ticket_id, MailKind::Answered, now).await?;
    tx.commit().await
}

/// The reporter writes again; staff get a mail.
///
/// # Errors
/// The database's.
pub async fn reply(
    conn: &mut PgConnection,
    config: &Config,
    ticket_id: Uuid,
    body: &str,
    now: Time,
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    tickets::add_message(&mut tx, ticket_id, None, body, now).await?;
    for recipient in &config.notify {
        let mail = new_mail(
            config,
            ticket_id,
            MailKind::ReplyNotice,
            recipient.to_string(),
            now,
        );
        outbox::enqueue(&mut tx, &mail).await?;
    }
    tx.commit().await
}

/// Staff close a ticket; the reporter who left an address gets a mail. `false` if it is closed already.
///
/// # Errors
/// The database's.
pub async fn close(
    conn: &mut PgConnection,
    config: &Config,
    ticket_id: Uuid,
    staff_id: Uuid,
    now: Time,
) -> Result<bool, sqlx::Error> {
    let mut tx = conn.begin().await?;
    if !tickets::set_status(
        &mut tx,
        ticket_id,
        TicketStatus::Solved,
        Some(staff_id),
        now,
    )
    .await?
    {
        return Ok(false);
    }
    tell_reporter(&mut tx, config, ticket_id, MailKind::Solved, now).await?;
    tx.commit().await?;
    Ok(true)
}

async fn tell_reporter(
    conn: &mut PgConnection,
    config: &Config,
    ticket_id: Uuid,
    kind: MailKind,
    now: Time,
) -> Result<(), sqlx::Error> {
    let email = tickets::find(&mut *conn, ticket_id)
        .await?
        .and_then(|ticket| ticket.email);
    let Some(email) = email else { return Ok(()) };
    if !outbox::enqueue_bounded(conn, &new_mail(config, ticket_id, kind, email, now)).await? {
        tracing::warn!(ticket.id = %ticket_id, "A reporter was not mailed: too many mails to the address in an hour");
    }
    Ok(())
}

fn new_mail(
    config: &Config,
    ticket_id: Uuid,
    kind: MailKind,
    recipient: String,
    now: Time,
) -> NewMail {
    NewMail {
        id: new_id(),
        ticket_id,
        kind,
        recipient,
        message_id: new_message_id(config.mail_from.email.domain()),
        grace: Duration::ZERO,
        created_at: now,
    }
}
