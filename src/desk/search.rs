//! `GET /desk/search?q=`: one box for a ticket's reference and for anything that may hold a trace ID.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::ticket::stored;
use super::trace::no_trace;
use super::trace_page::NoTrace;
use crate::access::extract::{Staff, StaffError};
use crate::http::page::{Frame, Section};
use crate::links::trace_ref;
use crate::state::AppState;
use crate::tickets::reference::Reference;
use crate::tickets::store as tickets;

/// The query.
#[derive(Debug, Deserialize)]
pub struct SearchQuery {
    #[serde(default)]
    q: String,
}

/// Leads to what was meant, or says in words why there is nothing.
///
/// # Errors
/// [`StaffError`].
pub async fn search(
    staff: Staff,
    query: web::Query<SearchQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let typed = query.q.trim();
    if typed.is_empty() {
        return Ok(to("/desk".to_owned()));
    }
    let frame = Frame::desk(staff.viewer(), Section::Elsewhere).with_search(typed);
    let reference = Reference::parse(typed);
    if let Some(reference) = &reference {
        let found =
            tickets::find_by_reference(&mut *state.pool.acquire().await?, reference.as_str())
                .await?;
        if let Some(id) = found {
            return Ok(to(format!("/desk/tickets/{id}")));
        }
        if typed.to_ascii_uppercase().starts_with("TD-") {
            return Ok(no_trace(
                frame,
                NoTrace::NoTicket {
                    reference: reference.to_string(),
                },
            ));
        }
    }
    let Ok(read) = trace_ref::parse(typed) else {
        return Ok(no_trace(
            frame,
            NoTrace::Malformed {
                typed: typed.to_owned(),
            },
        ));
    };
    let best = read.candidates.first().copied();
    let trace_id = stored(&state, &read).await?.or(best);
    Ok(match trace_id {
        // The trace's page tells the ways of not being there apart.
        Some(trace_id) => to(format!("/desk/traces/{trace_id}")),
        None => no_trace(
            frame,
            NoTrace::Malformed {
                typed: typed.to_owned(),
            },
        ),
    })
}

fn to(path: String) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .finish()
}
