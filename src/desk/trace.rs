//! A trace on a page of its own, and what its page's script asks for.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::span_view::SpanDetails;
use super::trace_page::{LinkedTicket, NoTrace, NoTracePage, SpanFragment, TracePage};
use super::trace_view::TraceView;
use crate::access::extract::{Staff, StaffError};
use crate::http::error::Problem;
use crate::http::page::{Frame, Section, html};
use crate::http::view::When;
use crate::links::state::LinkState;
use crate::links::tickets::{self, ListedTicket};
use crate::state::AppState;
use crate::traces::assemble::{RawTrace, ReadError};
use crate::traces::failure::Failure;
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::store;
use crate::traces::trace::Trace;
use crate::traces::waterfall::Waterfall;

/// A trace and its failure, read.
pub struct ReadTrace {
    /// The trace.
    pub trace: Trace,
    /// What went wrong in it.
    pub failure: Option<Failure>,
}

/// Reads a stored trace; `None` when nothing of it is stored.
///
/// # Errors
/// [`Problem`].
pub async fn read(
    state: &AppState,
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<ReadTrace>, Problem> {
    let Some(raw) = raw(state, conn, trace_id).await? else {
        return Ok(None);
    };
    let read = web::block(move || {
        Ok::<_, ReadError>(ReadTrace {
            trace: raw.assemble()?,
            failure: raw.failure()?,
        })
    });
    Ok(Some(read.await??))
}

async fn raw(
    state: &AppState,
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<Arc<RawTrace>>, Problem> {
    let _turn = state
        .readers
        .acquire()
        .await
        .map_err(|_closed| Problem::unavailable())?;
    let Some(stored) = store::find(conn, trace_id).await? else {
        return Ok(None);
    };
    let raw = web::block(move || RawTrace::unpack(trace_id, &stored)).await??;
    Ok(Some(Arc::new(raw)))
}

/// `GET /desk/traces/{trace_id}`.
///
/// # Errors
/// [`StaffError`].
pub async fn show(
    staff: Staff,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let frame = Frame::desk(staff.viewer(), Section::Elsewhere).with_search(&path);
    let Some(trace_id) = TraceId::from_hex(&path) else {
        return Ok(no_trace(
            frame,
            NoTrace::Malformed {
                typed: path.into_inner(),
            },
        ));
    };
    let mut conn = state.pool.acquire().await?;
    let linked = tickets::of_trace(&mut conn, trace_id.as_uuid()).await?;
    let Some(read) = read(&state, &mut conn, trace_id).await? else {
        return Ok(no_trace(frame, absence(&state, trace_id, &linked)));
    };
    let now = state.clock.now();
    let view = TraceView::new(&read.trace, read.failure.as_ref(), now);
    let tickets = linked
        .into_iter()
        .map(|ticket| linked_ticket(ticket, now))
        .collect();
    Ok(html(
        StatusCode::OK,
        &TracePage {
            frame,
            view,
            tickets,
        },
    ))
}

/// Why nothing is stored, as far as the tickets tell.
fn absence(state: &AppState, trace_id: TraceId, linked: &[ListedTicket]) -> NoTrace {
    NoTrace::NotStored {
        trace_id: trace_id.to_string(),
        retention_days: state.config.retention_days,
        is_awaited: linked
            .iter()
            .any(|ticket| ticket.link_state == LinkState::Waiting),
    }
}

/// Answers 404 with the reason in words.
#[must_use]
pub fn no_trace(frame: Frame, reason: NoTrace) -> HttpResponse {
    html(StatusCode::NOT_FOUND, &NoTracePage { frame, reason })
}

fn linked_ticket(ticket: ListedTicket, now: DateTime<Utc>) -> LinkedTicket {
    LinkedTicket {
        href: format!("/desk/tickets/{}", ticket.id),
        reference: ticket.reference,
        status: ticket.status,
        action: ticket.action,
        created: When::new(ticket.created_at, now),
    }
}

fn missing() -> Problem {
    Problem::not_found("Nothing of this trace is stored.")
}

async fn required(state: &AppState, path: &str) -> Result<ReadTrace, Problem> {
    let trace_id = TraceId::from_hex(path).ok_or_else(missing)?;
    read(state, &mut *state.pool.acquire().await?, trace_id)
        .await?
        .ok_or_else(missing)
}

/// `GET /desk/traces/{trace_id}.json`: the trace as OTLP JSON, as a file.
///
/// # Errors
/// [`StaffError`].
pub async fn download(
    _staff: Staff,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let trace_id = TraceId::from_hex(&path).ok_or_else(missing)?;
    let mut conn = state.pool.acquire().await?;
    let raw = raw(&state, &mut conn, trace_id)
        .await?
        .ok_or_else(missing)?;
    let body = web::block(move || crate::traces::json::write(&raw)).await??;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{trace_id}.json\""),
        ))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

/// `GET /desk/traces/{trace_id}/waterfall.json`: all rows, for the page's script.
///
/// # Errors
/// [`StaffError`].
pub async fn waterfall(
    _staff: Staff,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let read = required(&state, &path).await?;
    let body = web::block(move || {
        let waterfall = Waterfall::build(&read.trace, read.failure.map(|failure| failure.span_id));
        serde_json::to_string(&waterfall.to_json(&read.trace)).unwrap_or_default()
    })
    .await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

/// `GET /desk/traces/{trace_id}/spans/{span_id}`: the details of one span, for the page's script.
///
/// # Errors
/// [`StaffError`].
pub async fn span(
    _staff: Staff,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let read = required(&state, &path.0).await?;
    let span_id = SpanId::from_hex(&path.1).ok_or_else(missing)?;
    let waterfall = Waterfall::build(&read.trace, read.failure.map(|failure| failure.span_id));
    let row = waterfall
        .rows
        .iter()
        .position(|row| read.trace.spans[row.span].id == span_id)
        .ok_or_else(missing)?;
    Ok(html(
        StatusCode::OK,
        &SpanFragment {
            details: SpanDetails::new(&read.trace, &waterfall, row),
        },
    ))
}
