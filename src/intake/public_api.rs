//! `POST /api/v1/tickets` with a publishable key: a page's script opens a ticket from its reporter's browser (CORS, as
//! the Fetch standard has it). Its answer tells what the reporter's page tells, and nothing more.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use serde::Serialize;

use super::api::{accept, read_report};
use super::open::{self, Opened, Origin, ReportSource};
use crate::access::extract::ApiCaller;
use crate::access::store;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{ApiResult, Problem};
use crate::http::reader::Reader;
use crate::links::json::{PublicTraceJson, rfc3339};
use crate::state::AppState;
use crate::tickets::status::TicketStatus;

/// How long a browser may remember a preflight's answer: two hours, the longest that any of them keeps it.
const PREFLIGHT_SECS: &str = "7200";
/// What a page's script may read of an answer besides its body.
const EXPOSED: &str = "retry-after, trace-id";

/// `OPTIONS /api/v1/tickets`: a browser asks before it sends. It doesn't say which key it has, so any key with the
/// page's origin will do; the request itself is held against its own.
///
/// # Errors
/// 403 for a page that no key is for.
pub async fn preflight(request: HttpRequest, state: web::Data<AppState>) -> ApiResult {
    let origin = origin_of(&request).ok_or_else(not_from_here)?;
    if !store::is_origin_known(&mut *state.pool.acquire().await?, origin).await? {
        return Err(not_from_here());
    }
    Ok(HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST"))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS))
        .insert_header((header::VARY, "origin"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

/// Opens a ticket for a page of one of the key's origins.
///
/// # Errors
/// 403 for any other page. All else that is wrong is an answer that the page can read.
pub async fn create(
    request: &HttpRequest,
    caller: &ApiCaller,
    payload: web::Payload,
    state: &AppState,
    origins: &[String],
) -> ApiResult {
    let origin = origin_of(request)
        .filter(|origin| origins.iter().any(|allowed| allowed == origin))
        .ok_or_else(not_from_here)?;
    let mut answer = open(request, caller, payload, state)
        .await
        .unwrap_or_else(|problem| problem.error_response());
    let headers = answer.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    let exposed = HeaderValue::from_static(EXPOSED);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    Ok(answer)
}

fn origin_of(request: &HttpRequest) -> Option<&str> {
    request.headers().get(header::ORIGIN)?.to_str().ok()
}

fn not_from_here() -> Problem {
    let detail = "A publishable key works only in pages of its origins. `tracedesk key list` shows them; make a key with --origin for another one.";
    Problem::new(StatusCode::FORBIDDEN, detail)
        .with_header(header::VARY, HeaderValue::from_static("origin"))
}

async fn open(
    request: &HttpRequest,
    caller: &ApiCaller,
    payload: web::Payload,
    state: &AppState,
) -> ApiResult {
    let peer = limit_key(client_ip(request, &state.config.trusted_proxies));
    state.limits.page_report.check(&peer)?;
    state.limits.page_key.check(&caller.key_id().to_string())?;
    // Everybody who has the page has the key, and would share its answers.
    if request.headers().contains_key("idempotency-key") {
        let detail = "Idempotency-Key needs a secret key. Send the report without it.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let arrived = read_report(request, payload, state).await?;
    let (report, drafts) = accept(state, arrived).await?;
    let origin = Origin {
        source: ReportSource::Api,
        account_id: Some(caller.account_id()),
        draft_hash: drafts.hash(),
        spam_signs: Vec::new(),
        language: Reader::of(request, &state.config.content)
            .words
            .tag()
            .to_owned(),
        tried: Vec::new(),
    };
    let opened = open::open_ticket(state, &report, &origin).await?;
    let link = open::look_for_trace(state, &report, &opened).await;
    let url = state.config.base_url.join(&format!("/t/{}", opened.token));
    Ok(created(
        &url,
        &opened,
        PublicTraceJson::new(
            link.as_ref(),
            report.trace().is_some(),
            &state.config.failure_rules,
        ),
    ))
}

fn created(url: &str, opened: &Opened, trace: PublicTraceJson) -> HttpResponse {
    #[derive(Serialize)]
    struct Answer<'a> {
        reference: &'a str,
        status: TicketStatus,
        created_at: String,
        url: &'a str,
        trace: PublicTraceJson,
    }
    HttpResponse::Created()
        .insert_header((header::LOCATION, url))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Answer {
            reference: opened.reference.as_str(),
            status: TicketStatus::Open,
            created_at: rfc3339(opened.created_at),
            url,
            trace,
        })
}
