//! A ticket with its trace beside it, and which trace that is.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::act::back_to;
use super::candidates_view::CandidateView;
use super::ticket_page::{LinkForm, TicketPage, TracePanel};
use super::ticket_view::{DoneView, TicketRows, WorkView, history_entry};
use super::trace;
use crate::access::extract::{Staff, StaffError, StaffForm};
use crate::access::store as access;
use crate::http::error::Problem;
use crate::http::page::{Frame, Section, html};
use crate::http::picture::serve_picture;
use crate::http::view::When;
use crate::links::failures;
use crate::links::state::LinkState;
use crate::links::store::{self as links, Link};
use crate::links::suggest::candidates_of;
use crate::links::trace_ref;
use crate::outbox::listed as outbox;
use crate::state::AppState;
use crate::tickets::attachment;
use crate::tickets::change::{self, Act};
use crate::tickets::conversation::{Audience, messages};
use crate::tickets::message_view::ReplyForm;
use crate::tickets::store as tickets;
use crate::traces::ids::TraceId;
use crate::traces::store as traces;

/// What handlers of the desk return.
pub type DeskResult = Result<HttpResponse, StaffError>;

/// The box that links a trace by hand.
#[derive(Debug, Deserialize)]
pub struct LinkFields {
    #[serde(default)]
    trace: String,
}

/// A button.
#[derive(Debug, Deserialize)]
pub struct NoFields {}

/// What was typed and refused, to be shown again, and what was done a moment ago.
#[derive(Default)]
pub struct Refused {
    /// The message.
    pub reply: ReplyForm,
    /// The trace to link by hand.
    pub link: LinkForm,
    /// What was not done, because of what its sender had not seen.
    pub overtaken: Option<Act>,
    /// The entry of what was done.
    pub done: Option<Uuid>,
}

impl Refused {
    /// A message.
    #[must_use]
    pub fn of_reply(reply: ReplyForm) -> Self {
        Self {
            reply,
            ..Self::default()
        }
    }
}

/// The query of the page.
#[derive(Debug, Deserialize)]
pub struct TicketQuery {
    done: Option<String>,
}

/// Shows a ticket.
///
/// # Errors
/// [`StaffError`].
pub async fn show(
    staff: Staff,
    path: web::Path<String>,
    query: web::Query<TicketQuery>,
    state: web::Data<AppState>,
) -> DeskResult {
    let done = query
        .done
        .as_deref()
        .and_then(|id| Uuid::parse_str(id).ok());
    let shown = Refused {
        done,
        ..Refused::default()
    };
    page(&state, &staff, id_of(&path)?, shown, StatusCode::OK).await
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
    let picture = attachment::picture(
        &mut *state.pool.acquire().await?,
        ticket_id,
        id,
        Audience::Staff,
    )
    .await?;
    let picture = picture.ok_or_else(missing)?;
    let (media_type, content) = state.blobs.open(picture).await?;
    Ok(serve_picture(media_type, content))
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
            Ok(back_to(id, "#trace"))
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
    Ok(back_to(id, "#trace"))
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

/// The ticket that a path names.
///
/// # Errors
/// 404.
pub fn id_of(path: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(path).map_err(|_not_an_id| missing())
}

/// A ticket that is not there.
#[must_use]
pub fn missing() -> Problem {
    Problem::not_found("There is no ticket of this ID.")
}

/// The ticket's page.
///
/// # Errors
/// [`StaffError`].
pub async fn page(
    state: &AppState,
    staff: &Staff,
    id: Uuid,
    refused: Refused,
    status: StatusCode,
) -> DeskResult {
    let mut conn = state.pool.acquire().await?;
    let rows = rows_of(&mut conn, id).await?;
    let others = others_of(&mut conn, &rows.link).await?;
    let candidates = match rows.link.state {
        LinkState::None | LinkState::Missing => candidates_of(&mut conn, id).await?,
        LinkState::Waiting | LinkState::Linked => Vec::new(),
    };
    let colleagues = access::colleagues(&mut conn).await?;
    let now = state.clock.now();
    let overtaken = match &refused.overtaken {
        Some(act) => change::unseen(&mut conn, act).await?,
        None => Vec::new(),
    };
    let done = match refused.done {
        Some(event_id) => change::undoable(&mut conn, id, event_id, staff.id())
            .await?
            .map(|undoable| DoneView::new(event_id, &undoable)),
        None => None,
    };
    // Reading the trace takes a connection of its own, and may have to wait its turn.
    drop(conn);
    let trace = panel(state, &rows.link, now).await?;
    let page = TicketPage {
        frame: Frame::desk(staff.viewer(), Section::Queue),
        work: WorkView::new(&rows.ticket, staff, colleagues),
        done,
        is_overtaken: refused.overtaken.is_some(),
        overtaken: overtaken
            .into_iter()
            .map(|event| history_entry(event, now))
            .collect(),
        reply: refused.reply,
        link_form: refused.link,
        others,
        candidates: candidates
            .into_iter()
            .map(|candidate| CandidateView::new(candidate, now))
            .collect(),
        trace,
        language: language_name(state, &rows.ticket.language),
        ..TicketPage::of_rows(rows, now)
    };
    Ok(html(status, &page))
}

/// What a language calls itself; `None` for English, which staff expect.
fn language_name(state: &AppState, tag: &str) -> Option<String> {
    let words = state.config.content.words(tag);
    (words.tag() != "en").then(|| words.name.clone())
}

async fn rows_of(conn: &mut PgConnection, id: Uuid) -> Result<TicketRows, Problem> {
    Ok(TicketRows {
        ticket: tickets::find(&mut *conn, id).await?.ok_or_else(missing)?,
        link: links::find(&mut *conn, id).await?.ok_or_else(missing)?,
        messages: messages(&mut *conn, id, Audience::Staff).await?,
        events: tickets::events(&mut *conn, id).await?,
        screenshots: attachment::of_ticket(&mut *conn, id, Audience::Staff).await?,
        mails: outbox::of_ticket(conn, id).await?,
    })
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
