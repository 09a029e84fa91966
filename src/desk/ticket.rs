//! A ticket with its trace beside it, and what staff do with it. Each change is a resource of its own.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::candidates_view::CandidateView;
use super::ticket_page::{LinkForm, TicketPage, TracePanel};
use super::ticket_view::{history_entry, message_view, notice_view};
use super::trace;
use crate::access::extract::{Staff, StaffError, StaffForm};
use crate::http::error::Problem;
use crate::http::page::{Frame, Section, html};
use crate::http::picture::serve_picture;
use crate::http::view::{ReplyForm, When};
use crate::links::conversation;
use crate::links::failures;
use crate::links::state::{LinkOrigin, LinkState};
use crate::links::store::{self as links, Link};
use crate::links::suggest::candidates_of;
use crate::links::trace_ref;
use crate::outbox::store as outbox;
use crate::state::AppState;
use crate::tickets::attachment;
use crate::tickets::attachment_view::ScreenshotView;
use crate::tickets::message::message_body;
use crate::tickets::status::TicketStatus;
use crate::tickets::store as tickets;
use crate::traces::ids::TraceId;
use crate::traces::store as traces;

type DeskResult = Result<HttpResponse, StaffError>;

/// The reply box.
#[derive(Debug, Deserialize)]
pub struct ReplyFields {
    #[serde(default)]
    body: String,
}

/// The box that links a trace by hand.
#[derive(Debug, Deserialize)]
pub struct LinkFields {
    #[serde(default)]
    trace: String,
}

/// A button.
#[derive(Debug, Deserialize)]
pub struct NoFields {}

/// What was typed and refused, to be shown again.
#[derive(Default)]
struct Refused {
    reply: ReplyForm,
    link: LinkForm,
}

/// Shows a ticket.
///
/// # Errors
/// [`StaffError`].
pub async fn show(staff: Staff, path: web::Path<String>, state: web::Data<AppState>) -> DeskResult {
    page(
        &state,
        &staff,
        id_of(&path)?,
        Refused::default(),
        StatusCode::OK,
    )
    .await
}

/// Shows a screenshot.
///
/// # Errors
/// [`StaffError`].
pub async fn screenshot(
    _staff: Staff,
    path: web::Path<(Uuid, Uuid)>,
    state: web::Data<AppState>,
) -> DeskResult {
    let (ticket_id, id) = path.into_inner();
    let picture = attachment::picture(&mut *state.pool.acquire().await?, ticket_id, id).await?;
    let picture = picture.ok_or_else(missing)?;
    Ok(serve_picture(picture.media_type, picture.content))
}

/// Answers the reporter.
///
/// # Errors
/// [`StaffError`].
pub async fn add_message(
    path: web::Path<String>,
    form: StaffForm<ReplyFields>,
    state: web::Data<AppState>,
) -> DeskResult {
    let id = id_of(&path)?;
    let body = match message_body(&form.fields.body) {
        Ok(body) => body,
        Err(error) => {
            let reply = ReplyForm {
                body: form.fields.body,
                error: Some(error),
            };
            let refused = Refused {
                reply,
                ..Refused::default()
            };
            return page(
                &state,
                &form.staff,
                id,
                refused,
                StatusCode::UNPROCESSABLE_ENTITY,
            )
            .await;
        }
    };
    let mut conn = state.pool.acquire().await?;
    tickets::find(&mut conn, id).await?.ok_or_else(missing)?;
    conversation::answer(
        &mut conn,
        &state.config,
        id,
        form.staff.id(),
        &body,
        state.clock.now(),
    )
    .await?;
    state.outbox_wake.notify_one();
    Ok(back_to(id))
}

/// Closes the ticket.
///
/// # Errors
/// [`StaffError`].
pub async fn close(
    path: web::Path<String>,
    form: StaffForm<NoFields>,
    state: web::Data<AppState>,
) -> DeskResult {
    let id = id_of(&path)?;
    let mut conn = state.pool.acquire().await?;
    conversation::close(
        &mut conn,
        &state.config,
        id,
        form.staff.id(),
        state.clock.now(),
    )
    .await?;
    state.outbox_wake.notify_one();
    Ok(back_to(id))
}

/// Opens the ticket again.
///
/// # Errors
/// [`StaffError`].
pub async fn reopen(
    path: web::Path<String>,
    form: StaffForm<NoFields>,
    state: web::Data<AppState>,
) -> DeskResult {
    change(&state, &path, &form.staff, TicketStatus::Open).await
}

/// Judges the ticket spam.
///
/// # Errors
/// [`StaffError`].
pub async fn mark_spam(
    path: web::Path<String>,
    form: StaffForm<NoFields>,
    state: web::Data<AppState>,
) -> DeskResult {
    change(&state, &path, &form.staff, TicketStatus::Spam).await
}

async fn change(state: &AppState, path: &str, staff: &Staff, status: TicketStatus) -> DeskResult {
    let id = id_of(path)?;
    tickets::set_status(
        &mut *state.pool.acquire().await?,
        id,
        status,
        Some(staff.id()),
        state.clock.now(),
    )
    .await?;
    Ok(back_to(id))
}

/// Links the trace that staff name: by its ID in any shape, or by a span of it.
///
/// # Errors
/// [`StaffError`].
pub async fn link(
    path: web::Path<String>,
    form: StaffForm<LinkFields>,
    state: web::Data<AppState>,
) -> DeskResult {
    let id = id_of(&path)?;
    let typed = form.fields.trace;
    let found = match trace_ref::parse(&typed) {
        Ok(read) => stored(&state, &read).await?.ok_or_else(|| {
            format!(
                "Nothing of the trace {} is stored.",
                read.candidates
                    .first()
                    .map_or_else(String::new, ToString::to_string)
            )
        }),
        Err(error) => Err(error.to_string()),
    };
    match found {
        Ok(trace_id) => {
            state.resolver.choose(id, trace_id, form.staff.id()).await?;
            Ok(back_to(id))
        }
        Err(error) => {
            let link = LinkForm {
                typed,
                error: Some(error),
            };
            let refused = Refused {
                link,
                ..Refused::default()
            };
            page(
                &state,
                &form.staff,
                id,
                refused,
                StatusCode::UNPROCESSABLE_ENTITY,
            )
            .await
        }
    }
}

/// Takes the trace away that was suggested: it is another ticket's.
///
/// # Errors
/// [`StaffError`].
pub async fn reject_link(
    path: web::Path<String>,
    form: StaffForm<NoFields>,
    state: web::Data<AppState>,
) -> DeskResult {
    let id = id_of(&path)?;
    state.resolver.reject(id, form.staff.id()).await?;
    Ok(back_to(id))
}

/// The stored trace that a text refers to.
///
/// # Errors
/// [`Problem`].
pub async fn stored(
    state: &AppState,
    read: &trace_ref::TraceRef,
) -> Result<Option<TraceId>, Problem> {
    let mut conn = state.pool.acquire().await?;
    let ids: Vec<Uuid> = read.candidates.iter().map(|id| id.as_uuid()).collect();
    let known = traces::stored_among(&mut conn, &ids).await?;
    let stored = read
        .candidates
        .iter()
        .copied()
        .find(|id| known.contains(&id.as_uuid()));
    match (stored, read.span_id) {
        (None, Some(span_id)) => Ok(state.resolver.trace_of_span(span_id).await?),
        (stored, _) => Ok(stored),
    }
}

pub(super) fn id_of(path: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(path).map_err(|_not_an_id| missing())
}

fn missing() -> Problem {
    Problem::not_found("There is no ticket of this ID.")
}

pub(super) fn back_to(id: Uuid) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("/desk/tickets/{id}")))
        .finish()
}

async fn page(
    state: &AppState,
    staff: &Staff,
    id: Uuid,
    refused: Refused,
    status: StatusCode,
) -> DeskResult {
    let mut conn = state.pool.acquire().await?;
    let ticket = tickets::find(&mut conn, id).await?.ok_or_else(missing)?;
    let link = links::find(&mut conn, id).await?.ok_or_else(missing)?;
    let messages = tickets::messages(&mut conn, id).await?;
    let events = tickets::events(&mut conn, id).await?;
    let screenshots = attachment::of_ticket(&mut conn, id).await?;
    let mails = outbox::of_ticket(&mut conn, id).await?;
    let others = others_of(&mut conn, &link).await?;
    let candidates = match link.state {
        LinkState::None | LinkState::Missing => candidates_of(&mut conn, id).await?,
        LinkState::Waiting | LinkState::Linked => Vec::new(),
    };
    // Reading the trace takes a connection of its own, and may have to wait its turn.
    drop(conn);
    let now = state.clock.now();
    let trace = panel(state, &link, now).await?;
    let page = TicketPage {
        frame: Frame::desk(staff.viewer(), Section::Queue),
        href: format!("/desk/tickets/{id}"),
        reference: ticket.reference,
        status: ticket.status,
        kind: ticket.kind,
        source: ticket.source,
        spam_signs: ticket.spam_signs,
        action: ticket.action,
        page_url: ticket.page_url,
        occurred: When::new(ticket.occurred_at, now),
        created: When::new(ticket.created_at, now),
        typed_trace: link.typed,
        messages: messages
            .into_iter()
            .map(|message| message_view(message, ticket.email.as_deref(), now))
            .collect(),
        notices: mails
            .into_iter()
            .filter_map(|mail| notice_view(mail, now))
            .collect(),
        email: ticket.email,
        history: events
            .into_iter()
            .map(|event| history_entry(event, now))
            .collect(),
        screenshots: ScreenshotView::list(&format!("/desk/tickets/{id}/screenshots"), &screenshots),
        reply: refused.reply,
        link_form: refused.link,
        others,
        is_suggested: link.state == LinkState::Linked && link.origin == LinkOrigin::Suggested,
        candidates: candidates
            .into_iter()
            .map(|candidate| CandidateView::new(candidate, now))
            .collect(),
        trace,
    };
    Ok(html(status, &page))
}

async fn panel(state: &AppState, link: &Link, now: DateTime<Utc>) -> Result<TracePanel, Problem> {
    let Some(trace_id) = link.trace() else {
        return Ok(TracePanel::None);
    };
    Ok(match link.state {
        LinkState::None => TracePanel::None,
        LinkState::Waiting => TracePanel::Waiting {
            trace_id: trace_id.to_string(),
            until: When::new(link.waiting_until.unwrap_or(now), now),
        },
        LinkState::Missing => TracePanel::Missing {
            trace_id: trace_id.to_string(),
        },
        LinkState::Linked => match trace::view(state, trace_id, now).await? {
            Some(view) => TracePanel::Linked(Box::new(view)),
            None => TracePanel::Missing {
                trace_id: trace_id.to_string(),
            },
        },
    })
}

/// Other open tickets of the same failure: whoever finds the cause answers them all.
async fn others_of(
    conn: &mut PgConnection,
    link: &Link,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    let Some(fingerprint) = link.failure_fingerprint else {
        return Ok(None);
    };
    let count = failures::count_others(conn, fingerprint, link.ticket_id).await?;
    Ok((count > 0).then(|| (count, format!("/desk/failures/{fingerprint}"))))
}
