//! What staff do to a ticket: write, close, open again, give it to somebody, take that back. Each change is a resource of
//! its own. A form that was sent twice acts once, and one whose sender did not see what a colleague did comes back with
//! all that was typed.

use std::collections::HashMap;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use uuid::Uuid;

use super::ticket::{DeskResult, Refused, id_of, missing, page};
use crate::access::extract::{Staff, StaffForm};
use crate::content::Words;
use crate::http::error::Problem;
use crate::http::form::{self, Fields};
use crate::links::conversation;
use crate::state::AppState;
use crate::tickets::change::{Act, Outcome};
use crate::tickets::conversation::Said;
use crate::tickets::reply::{self, Verdict, text_of};
use crate::tickets::status::TicketStatus;

/// A button with what its form says of itself.
type Button = StaffForm<HashMap<String, String>>;

/// Answers the reporter, or writes a note among staff; `visibility` says which.
///
/// # Errors
/// [`crate::access::extract::StaffError`].
pub async fn write(
    request: HttpRequest,
    staff: Staff,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> DeskResult {
    let id = id_of(&path)?;
    let form = form::read(&request, payload, &state.uploads).await?;
    staff.require_token(text_of(&form.fields, "csrf_token"))?;
    let act = act_of(&state, &staff, id, &form.fields);
    let solves = text_of(&form.fields, "intent") == "solve";
    let (reply, verdict) = reply::read(&state.pool, act.now, form, &Words::english(), None).await?;
    let body = match verdict {
        Verdict::Send(body) => body,
        Verdict::Again => {
            return page(&state, &staff, id, Refused::of_reply(reply), StatusCode::OK).await;
        }
        Verdict::Refused => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return page(&state, &staff, id, Refused::of_reply(reply), status).await;
        }
    };
    let said = Said {
        body: &body,
        is_internal: reply.is_note,
        draft_hash: reply.drafts.hash(),
        solves: solves && !reply.is_note,
    };
    let mut conn = state.pool.acquire().await?;
    let outcome = conversation::say(&mut conn, &state.config, &act, &said).await?;
    drop(conn);
    state.outbox_wake.notify_one();
    match outcome {
        Outcome::Overtaken => {
            let refused = Refused {
                overtaken: Some(act),
                ..Refused::of_reply(reply)
            };
            page(&state, &staff, id, refused, StatusCode::CONFLICT).await
        }
        Outcome::Gone => Err(missing().into()),
        Outcome::Done(_) | Outcome::AlreadySo => Ok(back_to(id, "#reply")),
    }
}

/// Closes the ticket.
///
/// # Errors
/// [`crate::access::extract::StaffError`].
pub async fn close(
    path: web::Path<String>,
    form: Button,
    state: web::Data<AppState>,
) -> DeskResult {
    set_status(&state, &path, &form, TicketStatus::Solved).await
}

/// Opens the ticket again.
///
/// # Errors
/// [`crate::access::extract::StaffError`].
pub async fn reopen(
    path: web::Path<String>,
    form: Button,
    state: web::Data<AppState>,
) -> DeskResult {
    set_status(&state, &path, &form, TicketStatus::Open).await
}

/// Judges the ticket spam.
///
/// # Errors
/// [`crate::access::extract::StaffError`].
pub async fn mark_spam(
    path: web::Path<String>,
    form: Button,
    state: web::Data<AppState>,
) -> DeskResult {
    set_status(&state, &path, &form, TicketStatus::Spam).await
}

async fn set_status(
    state: &AppState,
    path: &str,
    form: &Button,
    status: TicketStatus,
) -> DeskResult {
    let id = id_of(path)?;
    let act = act_of(state, &form.staff, id, &form.fields);
    let mut conn = state.pool.acquire().await?;
    let outcome = conversation::set_status(&mut conn, &state.config, &act, status).await?;
    drop(conn);
    state.outbox_wake.notify_one();
    answer(state, &form.staff, act, outcome).await
}

/// Gives the ticket to a member of staff (`assignee`, their ID), or to nobody.
///
/// # Errors
/// [`crate::access::extract::StaffError`].
pub async fn assign(
    path: web::Path<String>,
    form: Button,
    state: web::Data<AppState>,
) -> DeskResult {
    let id = id_of(&path)?;
    let assignee_id = match text_of(&form.fields, "assignee") {
        "" => None,
        text => Some(Uuid::parse_str(text).map_err(|_not_an_id| nobody())?),
    };
    let act = act_of(&state, &form.staff, id, &form.fields);
    let mut conn = state.pool.acquire().await?;
    let assigned = conversation::assign(&mut conn, &act, assignee_id).await;
    drop(conn);
    let outcome = match assigned {
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            return Err(nobody().into());
        }
        assigned => assigned?,
    };
    answer(&state, &form.staff, act, outcome).await
}

fn nobody() -> Problem {
    let detail = "There is no such member of staff any more. Reload the page and choose another.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// Takes back what the same member of staff did last (`event`, its ID in the history).
///
/// # Errors
/// [`crate::access::extract::StaffError`].
pub async fn undo(path: web::Path<String>, form: Button, state: web::Data<AppState>) -> DeskResult {
    let id = id_of(&path)?;
    let event_id = Uuid::parse_str(text_of(&form.fields, "event")).unwrap_or_default();
    let act = act_of(&state, &form.staff, id, &form.fields);
    let mut conn = state.pool.acquire().await?;
    let outcome = conversation::undo(&mut conn, &act, form.staff.id(), event_id).await?;
    drop(conn);
    match outcome {
        Outcome::Done(_) => Ok(back_to(id, "")),
        outcome => answer(&state, &form.staff, act, outcome).await,
    }
}

async fn answer(state: &AppState, staff: &Staff, act: Act, outcome: Outcome) -> DeskResult {
    let id = act.ticket_id;
    match outcome {
        Outcome::Done(event_id) => Ok(back_to(id, &format!("?done={event_id}"))),
        Outcome::AlreadySo => Ok(back_to(id, "")),
        Outcome::Gone => Err(missing().into()),
        Outcome::Overtaken => {
            let refused = Refused {
                overtaken: Some(act),
                ..Refused::default()
            };
            page(state, staff, id, refused, StatusCode::CONFLICT).await
        }
    }
}

fn act_of(state: &AppState, staff: &Staff, ticket_id: Uuid, fields: &Fields) -> Act {
    Act {
        once: Uuid::parse_str(text_of(fields, "once")).ok(),
        seen: text_of(fields, "seen").parse().ok(),
        ..Act::new(ticket_id, Some(staff.id()), state.clock.now())
    }
}

/// Back to the ticket, at what was done.
#[must_use]
pub fn back_to(id: Uuid, at: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("/desk/tickets/{id}{at}")))
        .finish()
}
