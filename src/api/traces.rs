//! `GET /api/v1/traces/{trace_id}`: a whole trace as OTLP, JSON or protobuf.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use tracing::Instrument as _;

use crate::access::api_key::Scope;
use crate::access::extract::ApiCaller;
use crate::http::error::{ApiResult, Problem};
use crate::state::AppState;
use crate::traces::assemble::{RawTrace, ReadError};
use crate::traces::ids::TraceId;
use crate::traces::{json, store};

const PROTOBUF: &str = "application/x-protobuf";
/// Traces up to this size are written where the request came in: a millisecond; larger ones elsewhere.
const INLINE_BYTES: usize = 512 * 1024;

/// Answers with all stored spans of a trace, each once.
///
/// # Errors
/// [`Problem`].
pub async fn show(
    request: HttpRequest,
    caller: ApiCaller,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> ApiResult {
    caller.require(Scope::TracesRead)?;
    let trace_id = TraceId::from_hex(&path).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "A trace ID is up to 32 hex digits, not all of them zero.",
        )
    })?;
    let finding = async {
        let mut conn = state.pool.acquire().await?;
        store::find(&mut conn, trace_id).await
    };
    let found = finding
        .instrument(tracing::info_span!("find trace"))
        .await?;
    let stored = found.ok_or_else(|| {
        Problem::not_found(format!(
            "No spans of the trace {trace_id} are stored: not yet, or not any more."
        ))
    })?;
    let wants_protobuf = wants_protobuf(&request);
    let size: i64 = stored
        .parts
        .iter()
        .map(|part| i64::from(part.raw_bytes))
        .sum();
    let work = move || body_of(&RawTrace::unpack(trace_id, &stored)?, wants_protobuf);
    let body = if usize::try_from(size).is_ok_and(|size| size < INLINE_BYTES) {
        work()?
    } else {
        let _turn = state
            .readers
            .acquire()
            .await
            .map_err(|_closed| Problem::unavailable())?;
        web::block(work).await??
    };
    Ok(HttpResponse::Ok()
        .content_type(if wants_protobuf {
            PROTOBUF
        } else {
            "application/json"
        })
        .insert_header((header::VARY, "Accept"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

fn wants_protobuf(request: &HttpRequest) -> bool {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accept.contains(PROTOBUF) || accept.contains("application/protobuf")
}

fn body_of(trace: &RawTrace, as_protobuf: bool) -> Result<Vec<u8>, ReadError> {
    if as_protobuf {
        trace.protobuf()
    } else {
        json::write(trace)
    }
}
