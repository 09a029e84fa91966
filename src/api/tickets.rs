//! `GET /api/v1/tickets` and `GET /api/v1/tickets/{id}`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::api_key::Scope;
use crate::access::extract::ApiCaller;
use crate::failure_rule::FailureRules;
use crate::http::cursor;
use crate::http::error::{ApiResult, FieldError, Problem};
use crate::links::json::{TicketJson, TraceJson, rfc3339};
use crate::links::store as links;
use crate::links::tickets::{self as listed, ListedTicket};
use crate::state::AppState;
use crate::tickets::status::TicketStatus;
use crate::tickets::store as tickets;

/// Tickets in a page unless told otherwise.
const DEFAULT_LIMIT: i64 = 50;
/// Most tickets in a page: 200 of half a kilobyte are 100 kB.
const MAX_LIMIT: i64 = 200;

/// The query of the list, as it came.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    status: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

#[derive(Serialize)]
struct TicketBody<'a> {
    #[serde(flatten)]
    ticket: TicketJson<'a>,
    kind: &'a str,
    action: &'a str,
    page_url: &'a str,
    occurred_at: String,
    trace: TraceJson,
}

#[derive(Serialize)]
struct OneTicket<'a> {
    #[serde(flatten)]
    ticket: TicketBody<'a>,
    email: Option<&'a str>,
    updated_at: String,
}

#[derive(Serialize)]
struct Page<'a> {
    tickets: Vec<TicketBody<'a>>,
    next_cursor: Option<String>,
}

/// Lists tickets, newest first.
///
/// # Errors
/// [`Problem`].
pub async fn list(
    caller: ApiCaller,
    query: web::Query<ListQuery>,
    state: web::Data<AppState>,
) -> ApiResult {
    caller.require(Scope::TicketsRead)?;
    let (status, before, limit) = query.parse()?;
    let mut conn = state.pool.acquire().await?;
    let rows = listed::list(&mut conn, status, before, limit + 1).await?;
    let page_size = usize::try_from(limit).unwrap_or(usize::MAX);
    let shown = rows.get(..page_size).unwrap_or(&rows);
    let next_cursor = (rows.len() > shown.len())
        .then(|| {
            shown
                .last()
                .map(|last| cursor::encode(last.created_at, last.id))
        })
        .flatten();
    let page = Page {
        tickets: shown
            .iter()
            .map(|row| TicketBody::listed(row, &state.config.failure_rules))
            .collect(),
        next_cursor,
    };
    Ok(json(&page))
}

/// Shows one ticket.
///
/// # Errors
/// [`Problem`].
pub async fn show(
    caller: ApiCaller,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> ApiResult {
    caller.require(Scope::TicketsRead)?;
    let missing = || Problem::not_found("There is no ticket of this ID.");
    let id = Uuid::parse_str(&path).map_err(|_not_an_id| missing())?;
    let mut conn = state.pool.acquire().await?;
    let ticket = tickets::find(&mut conn, id).await?.ok_or_else(missing)?;
    let link = links::find(&mut conn, id).await?.ok_or_else(missing)?;
    let body = OneTicket {
        ticket: TicketBody {
            ticket: TicketJson::new(
                ticket.id,
                &ticket.reference,
                ticket.status,
                ticket.created_at,
            ),
            kind: &ticket.kind,
            action: &ticket.action,
            page_url: &ticket.page_url,
            occurred_at: rfc3339(ticket.occurred_at),
            trace: TraceJson::of(&link, &state.config.failure_rules),
        },
        email: ticket.email.as_deref(),
        updated_at: rfc3339(ticket.updated_at),
    };
    Ok(json(&body))
}

fn json(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

impl<'a> TicketBody<'a> {
    fn listed(row: &'a ListedTicket, rules: &FailureRules) -> Self {
        Self {
            ticket: TicketJson::new(row.id, &row.reference, row.status, row.created_at),
            kind: &row.kind,
            action: &row.action,
            page_url: &row.page_url,
            occurred_at: rfc3339(row.occurred_at),
            trace: TraceJson::listed(
                row.trace_id,
                row.link_state,
                row.failure_class
                    .map(|class| (class, row.failure_rule.as_deref())),
                rules,
            ),
        }
    }
}

type Parsed = (
    Option<TicketStatus>,
    Option<(chrono::DateTime<chrono::Utc>, Uuid)>,
    i64,
);

impl ListQuery {
    fn parse(&self) -> Result<Parsed, Problem> {
        let mut errors = Vec::new();
        let mut refused = |field, detail: String| errors.push(FieldError { field, detail });
        let status = self.status.as_deref().map(|text| {
            let known = TicketStatus::parse(text);
            if known.is_none() {
                refused(
                    "status",
                    "Must be open, pending, solved or spam.".to_owned(),
                );
            }
            known
        });
        let before = self.cursor.as_deref().map(|text| {
            let row = cursor::decode(text);
            if row.is_none() {
                refused(
                    "cursor",
                    "Must be the next_cursor of an earlier page.".to_owned(),
                );
            }
            row
        });
        let limit = self.limit.as_deref().map_or(Some(DEFAULT_LIMIT), |text| {
            let limit = text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit));
            if limit.is_none() {
                refused(
                    "limit",
                    format!("Must be a whole number from 1 to {MAX_LIMIT}."),
                );
            }
            limit
        });
        match (errors.is_empty(), limit) {
            (true, Some(limit)) => Ok((status.flatten(), before.flatten(), limit)),
            _ => Err(Problem::invalid(errors).with_status(StatusCode::BAD_REQUEST)),
        }
    }
}
