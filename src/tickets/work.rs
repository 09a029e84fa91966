//! What staff and reporters do to a ticket besides writing: closing, opening again, giving it to somebody, and taking
//! that back. To be called in a transaction.

use sqlx::{PgConnection, query_scalar};
use uuid::Uuid;

use super::change::{self, Act, Entry, Locked, Outcome};
use super::event::TicketEventKind;
use super::spam;
use super::status::TicketStatus;

/// Moves a ticket to another status.
///
/// # Errors
/// The database's.
pub async fn set_status(
    tx: &mut PgConnection,
    act: &Act,
    status: TicketStatus,
) -> Result<(Outcome, Option<Locked>), sqlx::Error> {
    // Two who wish for the same get it: nobody is overtaken by that.
    let any = Act { seen: None, ..*act };
    let locked = match change::begin(&mut *tx, &any).await? {
        Ok(locked) if locked.status == status => return Ok((Outcome::AlreadySo, None)),
        Ok(_) => change::begin(&mut *tx, act).await?,
        Err(outcome) => Err(outcome),
    };
    let locked = match locked {
        Ok(locked) => locked,
        Err(outcome) => return Ok((outcome, None)),
    };
    let was_spam = locked.status == TicketStatus::Spam;
    if was_spam && act.staff_id.is_none() {
        // Out of spam only staff lead.
        return Ok((Outcome::AlreadySo, None));
    }
    let kind = match status {
        TicketStatus::Open | TicketStatus::Pending if was_spam => TicketEventKind::NotSpam,
        TicketStatus::Open | TicketStatus::Pending => TicketEventKind::Reopened,
        TicketStatus::Solved => TicketEventKind::Solved,
        TicketStatus::Spam => TicketEventKind::MarkedSpam,
    };
    let entry = Entry {
        status,
        before: act.staff_id.map(|_| locked.status.as_str().to_owned()),
        ..locked.entry(kind)
    };
    let id = change::record(&mut *tx, act, &entry).await?;
    if was_spam {
        spam::forget_signs(tx, act.ticket_id).await?;
    }
    Ok((Outcome::Done(id), Some(locked)))
}

/// Gives a ticket to a member of staff, or to nobody.
///
/// # Errors
/// The database's; whoever does not exist breaks a foreign key.
pub async fn assign(
    tx: &mut PgConnection,
    act: &Act,
    assignee_id: Option<Uuid>,
) -> Result<Outcome, sqlx::Error> {
    let locked = match change::begin(&mut *tx, act).await? {
        Ok(locked) => locked,
        Err(outcome) => return Ok(outcome),
    };
    if locked.assignee_id == assignee_id {
        return Ok(Outcome::AlreadySo);
    }
    let email = match assignee_id {
        Some(id) => staff_email(&mut *tx, id).await?,
        None => None,
    };
    let kind = match assignee_id {
        Some(_) => TicketEventKind::Assigned,
        None => TicketEventKind::Unassigned,
    };
    let entry = Entry {
        assignee_id,
        detail: email.as_deref(),
        before: Some(text_of(locked.assignee_id)),
        ..locked.entry(kind)
    };
    Ok(Outcome::Done(change::record(tx, act, &entry).await?))
}

/// Brings back what was before an entry of the same person, if nothing was done since. Returns what was undone.
///
/// # Errors
/// The database's.
pub async fn undo(
    tx: &mut PgConnection,
    act: &Act,
    staff_id: Uuid,
    event_id: Uuid,
) -> Result<(Outcome, Option<TicketEventKind>), sqlx::Error> {
    let locked = match change::begin(&mut *tx, act).await? {
        Ok(locked) => locked,
        Err(outcome) => return Ok((outcome, None)),
    };
    let Some(undoable) = change::undoable(&mut *tx, act.ticket_id, event_id, staff_id).await?
    else {
        return Ok((Outcome::Overtaken, None));
    };
    let (status, assignee_id, what) = match undoable.kind {
        TicketEventKind::Assigned | TicketEventKind::Unassigned => (
            locked.status,
            Uuid::parse_str(&undoable.before).ok(),
            "the assignment",
        ),
        kind => (
            TicketStatus::parse(&undoable.before).unwrap_or(locked.status),
            locked.assignee_id,
            match kind {
                TicketEventKind::Solved => "solved",
                TicketEventKind::MarkedSpam => "marked as spam",
                TicketEventKind::NotSpam => "not spam",
                _ => "opened again",
            },
        ),
    };
    let entry = Entry {
        status,
        assignee_id,
        detail: Some(what),
        ..locked.entry(TicketEventKind::Undone)
    };
    let id = change::record(tx, act, &entry).await?;
    Ok((Outcome::Done(id), Some(undoable.kind)))
}

fn text_of(assignee_id: Option<Uuid>) -> String {
    assignee_id.map_or_else(String::new, |id| id.to_string())
}

async fn staff_email(conn: &mut PgConnection, id: Uuid) -> Result<Option<String>, sqlx::Error> {
    query_scalar!("SELECT email FROM staff WHERE id = $1", id)
        .fetch_optional(conn)
        .await
}
