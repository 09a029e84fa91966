//! `POST /api/v1/tickets`: a program opens a ticket.

use actix_web::http::header;
use actix_web::http::{StatusCode, header::HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::open::{self, Idempotency, Idempotent, Opened, Origin, ReportSource};
use super::public_api;
use super::refusal::Refused;
use super::report::{RawReport, Report};
use crate::access::api_key::Scope;
use crate::access::extract::ApiCaller;
use crate::http::body;
use crate::http::error::{ApiResult, FieldError, Problem};
use crate::http::form::{self, Fields, Form, MAX_REPORT_BYTES, body_problem};
use crate::http::reader::Reader;
use crate::links::json::{TicketJson, TraceJson};
use crate::links::store::Link;
use crate::state::AppState;
use crate::tickets::drafts::{self, Drafts};
use crate::tickets::screenshot::{self, ShotError};
use crate::tickets::status::TicketStatus;

/// Longest `Idempotency-Key`: four times a UUID, with room.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long after a 409 a repeat makes sense.
const RUNNING_RETRY_SECS: &str = "1";

/// Opens a ticket, or gives the first answer again.
///
/// # Errors
/// [`Problem`].
pub async fn create(
    request: HttpRequest,
    caller: ApiCaller,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> ApiResult {
    caller.require(Scope::TicketsWrite)?;
    if let Some(origins) = caller.origins() {
        return public_api::create(&request, &caller, payload, &state, origins).await;
    }
    let key = idempotency_key(&request)?;
    let arrived = read_report(&request, payload, &state).await?;
    let fingerprint = arrived.fingerprint;
    // Where a browser sends it, its reader's.
    let language = Reader::of(&request, &state.config.content).words;
    let (report, drafts) = accept(&state, arrived).await?;
    let account_id = Some(caller.account_id());
    let origin = Origin {
        source: ReportSource::Api,
        account_id,
        draft_hash: drafts.hash(),
        spam_signs: Vec::new(),
        language: language.tag().to_owned(),
        tried: Vec::new(),
    };
    let Some(key) = key else {
        let opened = open::open_ticket(&state, &report, &origin).await?;
        let link = open::look_for_trace(&state, &report, &opened).await;
        return Ok(created(
            &location(&opened),
            body_of(&state, &report, &opened, link.as_ref()),
        ));
    };
    let request = Idempotency {
        api_key_id: caller.key_id(),
        key,
        fingerprint,
    };
    open_once(&state, &report, &origin, &request).await
}

async fn open_once(
    state: &AppState,
    report: &Report,
    origin: &Origin,
    request: &Idempotency,
) -> ApiResult {
    let answer = |opened: &Opened| (location(opened), body_of(state, report, opened, None));
    match open::open_ticket_once(state, report, origin, request, answer).await? {
        Idempotent::Opened(opened) => {
            let link = open::look_for_trace(state, report, &opened).await;
            let body = body_of(state, report, &opened, link.as_ref());
            // A repeat gets the answer that was given, not what was true a moment before it.
            open::keep_answer(state, request, &body).await?;
            Ok(created(&location(&opened), body))
        }
        Idempotent::Replayed(first) if first.fingerprint == request.fingerprint => {
            let status = u16::try_from(first.status)
                .ok()
                .and_then(|code| StatusCode::from_u16(code).ok());
            let mut response = created(&first.location, first.body);
            *response.status_mut() = status.unwrap_or(StatusCode::CREATED);
            Ok(response)
        }
        Idempotent::Replayed(_) => {
            let detail =
                "This Idempotency-Key was used with another body. Use a new key for a new request.";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
        Idempotent::Running => {
            let detail =
                "A request with this Idempotency-Key is still running. Ask again for its answer.";
            Err(Problem::new(StatusCode::CONFLICT, detail).with_header(
                header::RETRY_AFTER,
                HeaderValue::from_static(RUNNING_RETRY_SECS),
            ))
        }
    }
}

fn created(location: &str, body: String) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(body)
}

fn location(opened: &Opened) -> String {
    format!("/api/v1/tickets/{}", opened.id)
}

fn body_of(state: &AppState, report: &Report, opened: &Opened, link: Option<&Link>) -> String {
    #[derive(Serialize)]
    struct Created<'a> {
        #[serde(flatten)]
        ticket: TicketJson<'a>,
        url: String,
        trace: TraceJson,
    }
    let stated = report
        .trace()
        .and_then(|trace| trace.read.candidates.first().copied());
    let trace = link.map_or_else(
        || TraceJson::stated(stated),
        |link| TraceJson::of(link, &state.config.failure_rules),
    );
    let created = Created {
        ticket: TicketJson::new(
            opened.id,
            opened.reference.as_str(),
            TicketStatus::Open,
            opened.created_at,
        ),
        url: state.config.base_url.join(&format!("/t/{}", opened.token)),
        trace,
    };
    serde_json::to_string(&created).unwrap_or_default()
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .map(|text| text.trim().trim_matches('"'))
        .unwrap_or_default();
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
        let detail = format!(
            "Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY_BYTES} visible ASCII characters."
        );
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(Some(key.to_owned()))
}

/// A report as it arrived.
pub(super) struct Arrived {
    raw: RawReport,
    /// Fields whose JSON type can't be right; empty in `raw`.
    mistyped: Vec<FieldError>,
    files: Vec<Vec<u8>>,
    /// SHA-256 of what was sent.
    fingerprint: [u8; 32],
}

/// Keeps the files and checks the fields. Names every invalid field once: what has the wrong type is not also missing.
pub(super) async fn accept(
    state: &AppState,
    arrived: Arrived,
) -> Result<(Report, Drafts), Problem> {
    let parsed = Report::parse(&arrived.raw, state.clock.now());
    let shots: Result<Vec<_>, _> = screenshot::take_all(arrived.files)
        .await?
        .into_iter()
        .collect();
    let refused = |refusal: ShotError| Refused {
        field: "attachments",
        refusal: refusal.into(),
    };
    let file_error = shots.as_ref().err().copied().map(refused);
    let mut errors = arrived.mistyped;
    let others = parsed.as_ref().err().into_iter().flatten().cloned();
    for error in others.chain(file_error) {
        if errors.iter().all(|known| known.field != error.field) {
            errors.push(error.into());
        }
    }
    let (Ok(report), Ok(shots), true) = (parsed, shots, errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    match drafts::keep_all(&state.pool, state.clock.now(), &shots).await? {
        (drafts, None) => Ok((report, drafts)),
        (_, Some(refusal)) => Err(Problem::invalid(vec![refused(refusal).into()])),
    }
}

pub(super) async fn read_report(
    request: &HttpRequest,
    payload: web::Payload,
    state: &AppState,
) -> Result<Arrived, Problem> {
    match form::mime_of(request).as_str() {
        "multipart/form-data" => {
            let form = form::read(request, payload, &state.uploads)
                .await?
                .whole()?;
            Ok(Arrived {
                raw: from_fields(&form.fields),
                mistyped: Vec::new(),
                fingerprint: fingerprint(&form),
                files: form.files,
            })
        }
        "application/json" => {
            let bytes = body::read(payload, MAX_REPORT_BYTES, |_| true).await;
            let bytes = bytes.map_err(|error| body_problem(error, MAX_REPORT_BYTES))?;
            let (raw, mistyped) = from_json(&bytes)?;
            Ok(Arrived {
                raw,
                mistyped,
                files: Vec::new(),
                fingerprint: Sha256::digest(&bytes).into(),
            })
        }
        _ => {
            let detail = "Send the report as application/json or multipart/form-data.";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

/// Of a multipart body without its boundary, which differs from try to try; what it bounds does not.
fn fingerprint(form: &Form) -> [u8; 32] {
    let mut fields: Vec<_> = form.fields.iter().collect();
    fields.sort();
    let mut hash = Sha256::new();
    for text in fields.into_iter().flat_map(|(name, value)| [name, value]) {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    for file in &form.files {
        hash.update(Sha256::digest(file));
    }
    hash.finalize().into()
}

fn from_fields(fields: &Fields) -> RawReport {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    RawReport {
        action: field("action"),
        page_url: field("page_url"),
        occurred_at: field("occurred_at"),
        kind: field("kind"),
        trace_id: field("trace_id"),
        email: field("email"),
    }
}

/// The fields, and those of the wrong type.
fn from_json(bytes: &[u8]) -> Result<(RawReport, Vec<FieldError>), Problem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("The body is not valid JSON: {error}."),
        )
    })?;
    let Value::Object(object) = value else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "The body must be a JSON object.",
        ));
    };
    let mut errors = Vec::new();
    let mut field = |name: &'static str| match object.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => {
            errors.push(FieldError {
                field: name,
                detail: "Must be a string.".to_owned(),
            });
            String::new()
        }
    };
    let raw = RawReport {
        action: field("action"),
        page_url: field("page_url"),
        occurred_at: field("occurred_at"),
        kind: field("kind"),
        trace_id: field("trace_id"),
        email: field("email"),
    };
    if object
        .get("attachments")
        .is_some_and(|value| *value != Value::Array(Vec::new()) && !value.is_null())
    {
        let detail = "Files are not taken inside JSON. Send the report as multipart/form-data with its files.".to_owned();
        errors.push(FieldError {
            field: "attachments",
            detail,
        });
    }
    Ok((raw, errors))
}
