//! Forms, multipart or urlencoded: their text fields and their files, read with caps.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::{StatusCode, header};
use actix_web::web::Payload;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::body::{self, BodyError};
use super::budget::{ByteBudget, Reservation};
use super::error::Problem;

/// Largest report without files: 10,000 characters of 4 bytes, thrice that when percent-encoded, a URL of 2 KiB, a
/// pasted trace ID of 10 kB in any shape, and room for the rest.
pub const MAX_REPORT_BYTES: usize = 256 * 1024;
/// Files of a form.
pub const MAX_FILES: usize = 5;
/// Size of a file.
pub const MAX_FILE_BYTES: usize = 10 * 1024 * 1024;
/// Largest report with files: five of 10 MiB, and what is written.
pub const MAX_FORM_BYTES: usize = MAX_FILES * MAX_FILE_BYTES + MAX_REPORT_BYTES;
/// A form with files must be whole within this time: 50 MiB in three minutes are 2.3 Mbit/s, a phone outdoors.
const UPLOAD_DEADLINE: Duration = Duration::from_mins(3);
/// Most parts of a form; ours has a dozen fields and five files.
const MAX_PARTS: usize = 40;

/// The text fields by name. Of fields with the same name the last one counts.
pub type Fields = HashMap<String, String>;

/// A form as it came.
#[derive(Debug)]
pub struct Form {
    /// Its text fields.
    pub fields: Fields,
    /// Its files, in order; a file over the cap is cut one byte beyond it.
    pub files: Vec<Vec<u8>>,
    /// The memory it takes.
    _held: Rc<RefCell<Reservation>>,
}

/// What forms may hold of the memory: files apart from texts, so that slow uploads keep nobody from writing.
#[derive(Debug, Clone)]
pub struct Uploads {
    /// Forms that say they are small.
    pub texts: ByteBudget,
    /// All others.
    pub files: ByteBudget,
}

impl Uploads {
    fn of(&self, request: &HttpRequest) -> &ByteBudget {
        let length = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        let is_small = length
            .and_then(|text| text.parse().ok())
            .is_some_and(|bytes: usize| bytes <= MAX_REPORT_BYTES);
        if is_small { &self.texts } else { &self.files }
    }
}

/// Reads a form of either encoding.
///
/// # Errors
/// 400, 413, 415, or 503 when too much is being received.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    uploads: &Uploads,
) -> Result<Form, Problem> {
    let mut held = uploads.of(request).reserve();
    match mime_of(request).as_str() {
        "multipart/form-data" => {
            let reading = read_multipart(request, payload, held);
            let late = || Err(body_problem(BodyError::Broken, MAX_FORM_BYTES));
            tokio::time::timeout(UPLOAD_DEADLINE, reading)
                .await
                .unwrap_or_else(|_late| late())
        }
        "application/x-www-form-urlencoded" => {
            let bytes = body::read(payload, MAX_REPORT_BYTES, |bytes| held.grow(bytes)).await;
            let bytes = bytes.map_err(|error| body_problem(error, MAX_REPORT_BYTES))?;
            let fields = parse_form::<Vec<(String, String)>>(&bytes)?
                .into_iter()
                .collect();
            Ok(Form {
                fields,
                files: Vec::new(),
                _held: Rc::new(RefCell::new(held)),
            })
        }
        _ => {
            let detail =
                "Send the form as multipart/form-data or application/x-www-form-urlencoded.";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

/// Reads the fields of an urlencoded body.
///
/// # Errors
/// 400 naming what is missing.
pub fn parse_form<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_urlencoded::from_bytes(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("The form could not be read: {error}."),
        )
    })
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
pub fn body_problem(error: BodyError, cap: usize) -> Problem {
    match error {
        BodyError::TooLarge => Problem::too_large(cap),
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

async fn read_multipart(
    request: &HttpRequest,
    payload: Payload,
    held: Reservation,
) -> Result<Form, Problem> {
    // The parser knows no reasons of ours, so the reason waits here.
    let refused = Rc::new(Cell::new(None));
    let held = Rc::new(RefCell::new(held));
    let (mut total, reason, budget) = (0, Rc::clone(&refused), Rc::clone(&held));
    let stream = payload.map(move |chunk| {
        let chunk = chunk?;
        total += chunk.len();
        if total > MAX_FORM_BYTES {
            reason.set(Some(BodyError::TooLarge));
        } else if !budget.borrow_mut().grow(chunk.len()) {
            reason.set(Some(BodyError::Busy));
        } else {
            return Ok(chunk);
        }
        Err(PayloadError::Overflow)
    });
    let parts = read_parts(Multipart::new(request.headers(), stream)).await;
    let (fields, files) = parts.map_err(|problem| match refused.get() {
        Some(error) => body_problem(error, MAX_FORM_BYTES),
        None => problem,
    })?;
    Ok(Form {
        fields,
        files,
        _held: held,
    })
}

async fn read_parts(mut multipart: Multipart) -> Result<(Fields, Vec<Vec<u8>>), Problem> {
    let (mut fields, mut files, mut parts, mut text_bytes) = (Fields::new(), Vec::new(), 0, 0);
    while let Some(part) = multipart.next().await {
        let part = part.map_err(|error| broken(&error))?;
        parts += 1;
        if parts > MAX_PARTS {
            let detail = format!("The form has more than {MAX_PARTS} fields.");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let file_name = part
            .content_disposition()
            .and_then(|disposition| disposition.get_filename());
        match file_name.map(str::is_empty) {
            // A browser sends a file field that was left empty as a file without a name.
            Some(true) => drop(read_part(part, 0).await?),
            Some(false) => files.push(read_part(part, MAX_FILE_BYTES + 1).await?),
            None => {
                let value = read_part(part, MAX_REPORT_BYTES + 1).await?;
                text_bytes += value.len();
                if text_bytes > MAX_REPORT_BYTES {
                    return Err(Problem::too_large(MAX_REPORT_BYTES));
                }
                fields.insert(name, String::from_utf8_lossy(&value).into_owned());
            }
        }
    }
    Ok((fields, files))
}

/// Reads a part to its end and keeps its first `keep` bytes.
async fn read_part(mut part: Field, keep: usize) -> Result<Vec<u8>, Problem> {
    let mut value = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        let room = keep - value.len();
        value.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    Ok(value)
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("The form could not be read: {error}"),
    )
}
