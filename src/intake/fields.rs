//! The text fields of a report's form, multipart or urlencoded, read with caps.

use std::collections::HashMap;

use actix_multipart::{Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;

use crate::access::extract::parse_form;
use crate::http::body::{self, BodyError};
use crate::http::error::Problem;

/// Largest form or JSON report: 10,000 characters of 4 bytes, thrice that when percent-encoded, a URL of 2 KiB, a
/// pasted trace ID of 10 kB in any shape, and room for the rest.
pub const MAX_REPORT_BYTES: usize = 256 * 1024;
/// Most parts of a form; ours has ten fields.
const MAX_PARTS: usize = 32;

/// The fields by name. Of fields with the same name the last one counts.
pub type Fields = HashMap<String, String>;

/// Reads a form of either encoding.
///
/// # Errors
/// 400, 413 or 415.
pub async fn read(request: &HttpRequest, payload: Payload) -> Result<Fields, Problem> {
    let bytes = body::read(payload, MAX_REPORT_BYTES, |_| true)
        .await
        .map_err(body_problem)?;
    match mime_of(request).as_str() {
        "multipart/form-data" => read_multipart(request, bytes.into()).await,
        "application/x-www-form-urlencoded" => Ok(parse_form::<Vec<(String, String)>>(&bytes)?
            .into_iter()
            .collect()),
        _ => {
            let detail =
                "Send the form as multipart/form-data or application/x-www-form-urlencoded.";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

/// The media type without its parameters, in lower case.
#[must_use]
pub fn mime_of(request: &HttpRequest) -> String {
    let value = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// A body that could not be read, as a problem.
#[must_use]
pub fn body_problem(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge => Problem::too_large(MAX_REPORT_BYTES),
        BodyError::Busy => Problem::unavailable(),
        BodyError::UnknownEncoding => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string())
        }
        BodyError::Broken | BodyError::BadGzip => Problem::new(
            StatusCode::BAD_REQUEST,
            "The body did not arrive whole. Send it again.",
        ),
    }
}

async fn read_multipart(request: &HttpRequest, body: Bytes) -> Result<Fields, Problem> {
    // In pieces: the parser refuses to look at more than 64 KiB at a time.
    let pieces: Vec<_> = body
        .chunks(16 * 1024)
        .map(|piece| Ok::<_, PayloadError>(body.slice_ref(piece)))
        .collect();
    let stream = futures_util::stream::iter(pieces);
    let mut multipart = Multipart::new(request.headers(), stream);
    let mut fields = Fields::new();
    let mut parts = 0;
    while let Some(part) = multipart.next().await {
        let mut part = part.map_err(|error| broken(&error))?;
        parts += 1;
        if parts > MAX_PARTS {
            let detail = format!("The form has more than {MAX_PARTS} fields.");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let has_file = part
            .content_disposition()
            .and_then(|d| d.get_filename())
            .is_some_and(|name| !name.is_empty());
        let mut value = Vec::new();
        while let Some(chunk) = part.next().await {
            value.extend_from_slice(&chunk.map_err(|error| broken(&error))?);
        }
        if has_file {
            let detail =
                "Files are not taken with a report. Describe what the screenshot shows instead.";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        fields.insert(name, String::from_utf8_lossy(&value).into_owned());
    }
    Ok(fields)
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("The form could not be read: {error}"),
    )
}
