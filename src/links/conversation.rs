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
    let message = tickets::add_message(&mut tx, ticket_id, Some(staff_id), body, now).await?;
    tell_reporter(
        &mut tx,
        config,
        ticket_id,
        MailKind::Answered,
        Some(message),
        now,
    )
    .await?;
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
    let message = tickets::add_message(&mut tx, ticket_id, None, body, now).await?;
    let is_spam = tickets::find(&mut tx, ticket_id)
        .await?
        .is_some_and(|ticket| ticket.status == TicketStatus::Spam);
    // What was judged spam is kept and tells nobody.
    let recipients = if is_spam { &[][..] } else { &config.notify[..] };
    for recipient in recipients {
        let mail = new_mail(
            config,
            ticket_id,
            MailKind::ReplyNotice,
            recipient.to_string(),
            Some(message),
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
    tell_reporter(&mut tx, config, ticket_id, MailKind::Solved, None, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Puts what was taken for spam into the queue, with the mails that were held back for it. `false` if it is no spam.
///
/// # Errors
/// The database's.
pub async fn reject_spam(
    conn: &mut PgConnection,
    config: &Config,
    ticket_id: Uuid,
    staff_id: Uuid,
    now: Time,
) -> Result<bool, sqlx::Error> {
    let mut tx = conn.begin().await?;
    if !tickets::reject_spam(&mut tx, ticket_id, staff_id, now).await? {
        return Ok(false);
    }
    // A ticket that staff took for spam had its mails before.
    if outbox::of_ticket(&mut tx, ticket_id).await?.is_empty() {
        for recipient in &config.notify {
            let kind = MailKind::StaffNotice;
            let mail = new_mail(config, ticket_id, kind, recipient.to_string(), None, now);
            outbox::enqueue(&mut tx, &mail).await?;
        }
        tell_reporter(
            &mut tx,
            config,
            ticket_id,
            MailKind::ReportReceived,
            None,
            now,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(true)
}

async fn tell_reporter(
    conn: &mut PgConnection,
    config: &Config,
    ticket_id: Uuid,
    kind: MailKind,
    message: Option<Uuid>,
    now: Time,
) -> Result<(), sqlx::Error> {
    let email = tickets::find(&mut *conn, ticket_id)
        .await?
        .and_then(|ticket| ticket.email);
    if let Some(email) = email {
        outbox::enqueue(
            conn,
            &new_mail(config, ticket_id, kind, email, message, now),
        )
        .await?;
    }
    Ok(())
}

fn new_mail(
    config: &Config,
    ticket_id: Uuid,
    kind: MailKind,
    recipient: String,
    message: Option<Uuid>,
    now: Time,
) -> NewMail {
    NewMail {
        id: new_id(),
        ticket_id,
        kind,
        recipient,
        message_id: new_message_id(config.mail_from.email.domain()),
        message,
        grace: Duration::ZERO,
        created_at: now,
    }
}
