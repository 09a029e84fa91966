//! A trace on a page of its own, and what its page's script asks for.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};

use super::span_view::SpanDetails;
use super::trace_page::{LinkedTicket, NoTrace, NoTracePage, SpanFragment, TracePage};
use super::trace_view::TraceView;
use crate::access::extract::{Staff, StaffError};
use crate::failure_rule::FailureRules;
use crate::http::error::Problem;
use crate::http::page::{Frame, Section, html};
use crate::http::view::When;
use crate::links::state::LinkState;
use crate::links::tickets::{self, ListedTicket};
use crate::state::AppState;
use crate::traces::assemble::{RawTrace, ReadError};
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::waterfall::Waterfall;
use crate::traces::{json, store};

/// Reads a stored trace and makes of it what a page needs, off the threads that serve requests; `None` when nothing of
/// it is stored. Few at a time, since each may take much memory, and none holds a connection while it waits.
///
/// # Errors
/// [`Problem`].
pub async fn read<T: Send + 'static>(
    state: &AppState,
    trace_id: TraceId,
    work: impl FnOnce(&RawTrace, &FailureRules) -> Result<T, ReadError> + Send + 'static,
) -> Result<Option<T>, Problem> {
    let turn = Arc::clone(&state.readers)
        .acquire_owned()
        .await
        .map_err(|_closed| Problem::unavailable())?;
    let mut conn = state.pool.acquire().await?;
    let Some(stored) = store::find(&mut conn, trace_id).await? else {
        return Ok(None);
    };
    drop(conn);
    let rules = Arc::clone(&state.config.failure_rules);
    let done = web::block(move || {
        let _until_the_end = turn;
        work(&RawTrace::unpack(trace_id, &stored)?, &rules)
    });
    Ok(Some(done.await??))
}

/// The view of a stored trace, as [`read`] reads it.
///
/// # Errors
/// [`Problem`].
pub async fn view(
    state: &AppState,
    trace_id: TraceId,
    now: DateTime<Utc>,
) -> Result<Option<TraceView>, Problem> {
    read(state, trace_id, move |raw, rules| {
        Ok(TraceView::new(
            &raw.assemble()?,
            raw.failure(rules)?.as_ref(),
            now,
        ))
    })
    .await
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
    let linked = tickets::of_trace(&mut *state.pool.acquire().await?, trace_id.as_uuid()).await?;
    let now = state.clock.now();
    let Some(view) = view(&state, trace_id, now).await? else {
        return Ok(no_trace(frame, absence(&state, trace_id, &linked)));
    };
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

fn id_of(path: &str) -> Result<TraceId, Problem> {
    TraceId::from_hex(path).ok_or_else(missing)
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
    let trace_id = id_of(&path)?;
    let body = read(&state, trace_id, |raw, _rules| json::write(raw))
        .await?
        .ok_or_else(missing)?;
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
    let body = read(&state, id_of(&path)?, |raw, rules| {
        let trace = raw.assemble()?;
        let waterfall =
            Waterfall::build(&trace, raw.failure(rules)?.map(|failure| failure.span_id));
        Ok(serde_json::to_string(&waterfall.to_json(&trace)).unwrap_or_default())
    });
    let body = body.await?.ok_or_else(missing)?;
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
    let span_id = SpanId::from_hex(&path.1).ok_or_else(missing)?;
    let details = read(&state, id_of(&path.0)?, move |raw, rules| {
        let trace = raw.assemble()?;
        let waterfall =
            Waterfall::build(&trace, raw.failure(rules)?.map(|failure| failure.span_id));
        let row = waterfall
            .rows
            .iter()
            .position(|row| trace.spans[row.span].id == span_id);
        Ok(row.map(|row| SpanDetails::new(&trace, &waterfall, row)))
    });
    let details = details.await?.flatten().ok_or_else(missing)?;
    Ok(html(StatusCode::OK, &SpanFragment { details }))
}
