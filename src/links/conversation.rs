//! What is said and decided on a ticket, with the mails that tell the other side: one transaction each.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::clock::new_id;
use crate::config::Config;
use crate::outbox::message::new_message_id;
use crate::outbox::store::{self as outbox, MailKind, NewMail};
use crate::tickets::change::{Act, Outcome};
use crate::tickets::conversation::{self, Said};
use crate::tickets::event::TicketEventKind;
use crate::tickets::rating::{self, Rating};
use crate::tickets::status::TicketStatus;
use crate::tickets::work;

/// How long the mail of a closed ticket waits, so that an undo takes it back: as long as it takes to see the mistake.
pub const UNDO_GRACE: Duration = Duration::from_secs(10);

/// Somebody writes. An answer is mailed to the reporter who left an address, a reply to staff, a note to nobody.
///
/// # Errors
/// The database's.
pub async fn say(
    conn: &mut PgConnection,
    config: &Config,
    act: &Act,
    said: &Said<'_>,
) -> Result<Outcome, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let added = match conversation::say(&mut tx, act, said).await? {
        Ok(added) => added,
        Err(outcome) => return Ok(outcome),
    };
    let message = Some(added.message_id);
    let (kind, recipients) = match act.staff_id {
        Some(_) if said.is_internal => (MailKind::Answered, Vec::new()),
        Some(_) => (MailKind::Answered, added.email.into_iter().collect()),
        // What was judged spam is kept and tells nobody.
        None if added.status == TicketStatus::Spam => (MailKind::ReplyNotice, Vec::new()),
        None => {
            let staff = config.notify.iter().map(ToString::to_string).collect();
            (MailKind::ReplyNotice, staff)
        }
    };
    for recipient in recipients {
        let mail = new_mail(config, act, kind, recipient, message);
        outbox::enqueue(&mut tx, &mail).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done(added.message_id))
}

/// Moves a ticket to another status. When staff close it, the reporter who left an address gets a mail, after a moment
/// in which it can be undone.
///
/// # Errors
/// The database's.
pub async fn set_status(
    conn: &mut PgConnection,
    config: &Config,
    act: &Act,
    status: TicketStatus,
) -> Result<Outcome, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let (outcome, before) = work::set_status(&mut tx, act, status).await?;
    let Some(before) = before else {
        return Ok(outcome);
    };
    if before.status == TicketStatus::Spam && status == TicketStatus::Open {
        tell_after_all(&mut tx, config, act, before.email.as_deref()).await?;
    }
    if let (TicketStatus::Solved, Some(_), Some(email)) = (status, act.staff_id, before.email) {
        let mail = NewMail {
            grace: UNDO_GRACE,
            ..new_mail(config, act, MailKind::Solved, email, None)
        };
        outbox::enqueue(&mut tx, &mail).await?;
    } else if status != TicketStatus::Solved {
        outbox::withdraw(&mut tx, act.ticket_id, MailKind::Solved).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

/// The mails of a report that was taken for spam. One that staff took for it had them before.
async fn tell_after_all(
    conn: &mut PgConnection,
    config: &Config,
    act: &Act,
    reporter: Option<&str>,
) -> Result<(), sqlx::Error> {
    if outbox::has_any(&mut *conn, act.ticket_id).await? {
        return Ok(());
    }
    let staff = config.notify.iter().map(ToString::to_string);
    let notices = staff.map(|address| (MailKind::StaffNotice, address));
    let receipt = reporter.map(|address| (MailKind::ReportReceived, address.to_owned()));
    for (kind, recipient) in notices.chain(receipt) {
        let mail = new_mail(config, act, kind, recipient, None);
        outbox::enqueue(&mut *conn, &mail).await?;
    }
    Ok(())
}

/// Gives a ticket to a member of staff, or to nobody.
///
/// # Errors
/// The database's.
pub async fn assign(
    conn: &mut PgConnection,
    act: &Act,
    assignee_id: Option<Uuid>,
) -> Result<Outcome, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let outcome = work::assign(&mut tx, act, assignee_id).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// Takes back what the same member of staff did last to the ticket; a mail about it that is still here does not go.
///
/// # Errors
/// The database's.
pub async fn undo(
    conn: &mut PgConnection,
    act: &Act,
    staff_id: Uuid,
    event_id: Uuid,
) -> Result<Outcome, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let (outcome, undone) = work::undo(&mut tx, act, staff_id, event_id).await?;
    if undone == Some(TicketEventKind::Solved) {
        outbox::withdraw(&mut tx, act.ticket_id, MailKind::Solved).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

/// The reporter says whether an answer helped. `false` if it is no answer to this ticket.
///
/// # Errors
/// The database's.
pub async fn rate(
    conn: &mut PgConnection,
    act: &Act,
    message_id: Uuid,
    rating: &Rating,
) -> Result<bool, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let is_rated = rating::rate(&mut tx, act.ticket_id, message_id, rating, act.now).await?;
    tx.commit().await?;
    Ok(is_rated)
}

fn new_mail(
    config: &Config,
    act: &Act,
    kind: MailKind,
    recipient: String,
    message: Option<Uuid>,
) -> NewMail {
    NewMail {
        id: new_id(),
        ticket_id: act.ticket_id,
        kind,
        recipient,
        message_id: new_message_id(config.mail_from.email.domain()),
        message,
        grace: Duration::ZERO,
        created_at: act.now,
    }
}
