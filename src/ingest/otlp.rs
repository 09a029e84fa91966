//! `POST /v1/traces`: OTLP over HTTP, protobuf and JSON, as the OpenTelemetry protocol specification has it.
//!
//! Errors are a `google.rpc.Status` in the request's encoding. Clients repeat only after 429, 502, 503 and 504, so a
//! fault of ours is a 503: a 500 would lose the data.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde_json::json;

use super::json::{self as otlp_json, JsonError};
use super::split::{Split, SplitError, split};
use super::writer::NotStored;
use crate::access::api_key::Scope;
use crate::access::extract::ApiCaller;
use crate::failure_rule::FailureRules;
use crate::http::body::{self, BodyError, ContentEncoding};
use crate::http::budget::Reservation;
use crate::http::error::Problem;
use crate::state::AppState;

/// Largest body, before and after decompression: the specification's default.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// How long a client waits before it sends again. SDKs drop a batch whose wait would outlast their 10 s deadline.
const RETRY_AFTER_SECS: &str = "1";
/// Bodies under this are taken apart where they came in; larger ones would hold up other requests of the thread.
const INLINE_BYTES: usize = 512 * 1024;

/// The encodings of OTLP over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(request: &HttpRequest) -> Option<Self> {
        let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        match value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
            .as_str()
        {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Stores spans; a 200 means they are committed.
///
/// # Errors
/// None: every error is an answer of OTLP's own shape.
pub async fn export(
    request: HttpRequest,
    caller: Result<ApiCaller, actix_web::Error>,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> HttpResponse {
    let Some(encoding) = Encoding::of(&request) else {
        let message = "send application/x-protobuf or application/json";
        return Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).respond(Encoding::Json);
    };
    match store(&request, caller, payload, &state, encoding).await {
        Ok(outcome) => success(encoding, outcome),
        Err(refusal) => refusal.respond(encoding),
    }
}

/// An error of the address or the method, in OTLP's shape.
#[must_use]
pub fn refuse(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    Refusal::from_problem(problem).respond(Encoding::of(request).unwrap_or(Encoding::Json))
}

/// What a request that was taken left out, and why.
struct Outcome {
    rejected: u64,
    reason: Option<String>,
}

async fn store(
    request: &HttpRequest,
    caller: Result<ApiCaller, actix_web::Error>,
    payload: web::Payload,
    state: &AppState,
    encoding: Encoding,
) -> Result<Outcome, Refusal> {
    caller
        .map_err(|error| Refusal::from_actix(&error))
        .and_then(|caller| {
            caller
                .require(Scope::TracesWrite)
                .map_err(|problem| Refusal::from_problem(&problem))
        })?;
    let content_encoding = body::content_encoding(request).map_err(Refusal::from_body)?;
    let mut held = state.ingest.reserve();
    let room = body::room_for(request);
    let body = body::read_into(room, payload, MAX_BODY_BYTES, |bytes| held.grow(bytes)).await;
    let body = body.map_err(Refusal::from_body)?;
    let is_small = body.len() < INLINE_BYTES && content_encoding == ContentEncoding::Identity;
    let rules = Arc::clone(&state.config.failure_rules);
    let work = move || take_apart(body, content_encoding, encoding, held, &rules);
    let (split, held) = if is_small {
        work()?
    } else {
        web::block(work)
            .await
            .map_err(|_stopping| Refusal::from_not_stored(NotStored::Stopping))??
    };
    let outcome = Outcome {
        rejected: split.rejected,
        reason: split.first_reason,
    };
    state
        .ingest
        .store(split.parts, held)
        .await
        .map_err(Refusal::from_not_stored)?;
    if outcome.rejected > 0 {
        // Clients may not show it (the Python SDK never looks), so it must be seen here.
        tracing::warn!(
            rejected = outcome.rejected,
            reason = outcome.reason,
            "Spans were rejected"
        );
        metrics::counter!("tracedesk_spans_rejected_total").increment(outcome.rejected);
    }
    Ok(outcome)
}

fn take_apart(
    body: Vec<u8>,
    content_encoding: ContentEncoding,
    encoding: Encoding,
    mut held: Reservation,
    rules: &FailureRules,
) -> Result<(Split, Reservation), Refusal> {
    let body = match content_encoding {
        ContentEncoding::Identity => body,
        ContentEncoding::Gzip => body::inflate(&body, MAX_BODY_BYTES, |bytes| held.grow(bytes))
            .map_err(Refusal::from_body)?,
    };
    let split = match encoding {
        Encoding::Protobuf => split(&body, rules).map_err(|error| Refusal::from_split(&error))?,
        Encoding::Json => {
            let converted =
                otlp_json::to_protobuf(&body).map_err(|error| Refusal::from_json(&error))?;
            let mut split =
                split(&converted.request, rules).map_err(|error| Refusal::from_split(&error))?;
            split.rejected += converted.rejected;
            split.first_reason = converted.first_reason.or(split.first_reason);
            split
        }
    };
    Ok((split, held))
}

fn success(encoding: Encoding, outcome: Outcome) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type(encoding.content_type());
    let partial = (outcome.rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(outcome.rejected).unwrap_or(i64::MAX),
        error_message: outcome.reason.unwrap_or_default(),
    });
    match encoding {
        Encoding::Protobuf => response.body(
            ExportTraceServiceResponse {
                partial_success: partial,
            }
            .encode_to_vec(),
        ),
        Encoding::Json => response.body(match partial {
            None => "{}".to_owned(),
            Some(partial) => json!({"partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }})
            .to_string(),
        }),
    }
}

/// An answer other than 200.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    fn from_body(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the body is over {} MiB, before or after decompression",
                    MAX_BODY_BYTES / 1024 / 1024
                ),
            ),
            BodyError::Broken | BodyError::BadGzip => {
                Self::new(StatusCode::BAD_REQUEST, error.to_string())
            }
            BodyError::UnknownEncoding => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string())
            }
            BodyError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }

    fn from_json(error: &JsonError) -> Self {
        let status = match error {
            JsonError::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }

    fn from_split(error: &SplitError) -> Self {
        let status = match error {
            SplitError::Broken(_) => StatusCode::BAD_REQUEST,
            SplitError::TooManySpans | SplitError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            SplitError::Compress(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }

    fn from_not_stored(error: NotStored) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }

    fn from_actix(error: &actix_web::Error) -> Self {
        match error.as_error::<Problem>() {
            Some(problem) => Self::from_problem(problem),
            None => Self::new(
                error.as_response_error().status_code(),
                "the request could not be authenticated",
            ),
        }
    }

    fn from_problem(problem: &Problem) -> Self {
        // A 500 would make the client drop its spans.
        let status = problem.status_code();
        let status = if status.is_server_error() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            status
        };
        Self::new(status, problem.detail())
    }

    fn respond(self, encoding: Encoding) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type(encoding.content_type());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECS));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        let code = grpc_code(self.status);
        match encoding {
            Encoding::Protobuf => response.body(
                RpcStatus {
                    code,
                    message: self.message,
                }
                .encode_to_vec(),
            ),
            Encoding::Json => {
                response.body(json!({"code": code, "message": self.message}).to_string())
            }
        }
    }
}

/// `google.rpc.Status`, of which `details` is never set here.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// `google.rpc.Code` of an HTTP status, as `google/rpc/code.proto` pairs them.
fn grpc_code(status: StatusCode) -> i32 {
    match status.as_u16() {
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        429 => 8,
        503 => 14,
        _ => 3,
    }
}
