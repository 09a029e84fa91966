//! Forms, multipart or urlencoded: their text fields and their files, read with caps.

use std::cell::Cell;
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
use super::error::{FieldError, Problem};
use crate::content::Words;

/// Largest report without files: 10,000 characters of 4 bytes, thrice that when percent-encoded, a URL of 2 KiB, a
/// pasted trace ID of 10 kB in any shape, and room for the rest.
pub const MAX_REPORT_BYTES: usize = 256 * 1024;
/// Files of a form.
pub const MAX_FILES: usize = 5;
/// Size of a file.
pub const MAX_FILE_BYTES: usize = 10 * 1024 * 1024;
/// The same in MiB.
pub const MAX_FILE_MIB: usize = MAX_FILE_BYTES / 1024 / 1024;
/// Largest report with files: five of 10 MiB, and what is written.
pub const MAX_FORM_BYTES: usize = MAX_FILES * MAX_FILE_BYTES + MAX_REPORT_BYTES;
/// A form with files must be whole within this time: 50 MiB in three minutes are 2.3 Mbit/s, a phone outdoors.
const UPLOAD_DEADLINE: Duration = Duration::from_mins(3);
/// A form over the cap is read on, to have what was typed, and its files are dropped as they come: up to this.
const MAX_DROPPED_BYTES: usize = 4 * MAX_FORM_BYTES;
/// Most parts of a form; ours has a dozen fields and five files.
const MAX_PARTS: usize = 40;

/// The rule that a form with more files breaks.
#[must_use]
pub fn too_many() -> String {
    format!("At most {MAX_FILES} screenshots are taken.")
}

/// The rule that a larger file breaks.
#[must_use]
pub fn too_large() -> String {
    format!("A screenshot may have {MAX_FILE_MIB} MiB at most.")
}

/// The text fields by name. Of fields with the same name the last one counts.
pub type Fields = HashMap<String, String>;

/// A form as it came.
#[derive(Debug)]
pub struct Form {
    /// Its text fields.
    pub fields: Fields,
    /// Its files, in order; a file over the cap is cut one byte beyond it.
    pub files: Vec<Vec<u8>>,
    /// Why some of its files, or the end of its texts, are not there. The rest is.
    pub trouble: Option<Trouble>,
    /// The memory it takes.
    _held: [Reservation; 2],
}

impl Form {
    /// The form, if all of it is there: a program sends a report whole or not at all.
    ///
    /// # Errors
    /// 413, 422 or 503.
    pub fn whole(self) -> Result<Self, Problem> {
        match self.trouble {
            Some(trouble) => Err(trouble.problem()),
            None => Ok(self),
        }
    }
}

/// Why a form is not whole. What was typed is there all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its texts are over [`MAX_REPORT_BYTES`]; those beyond are cut.
    TooMuchText,
    /// All in all it is over [`MAX_FORM_BYTES`].
    TooLarge,
    /// More than [`MAX_FILES`] files; the first ones are there.
    TooManyFiles,
    /// There is no memory for its files just now.
    NoRoom,
}

impl Trouble {
    /// In a sentence for the reporter.
    #[must_use]
    pub fn in_words(self, words: &Words) -> String {
        let (form, errors) = (&words.form, &words.errors);
        match self {
            Self::TooMuchText => form.text_long.fill(&[("most", &(MAX_REPORT_BYTES / 1024))]),
            Self::TooLarge => errors.file_large.fill(&[("most", &MAX_FILE_MIB)]),
            Self::TooManyFiles => errors.files_many.fill(&[("most", &MAX_FILES)]),
            Self::NoRoom => form.no_room.clone(),
        }
    }

    /// Whether it is about the files, not the texts.
    #[must_use]
    pub fn is_of_files(self) -> bool {
        self != Self::TooMuchText
    }

    /// The same as an error.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::TooMuchText => Problem::too_large(MAX_REPORT_BYTES),
            Self::TooLarge => Problem::too_large(MAX_FORM_BYTES),
            Self::TooManyFiles => Problem::invalid(vec![FieldError {
                field: "attachments",
                detail: too_many(),
            }]),
            Self::NoRoom => Problem::unavailable(),
        }
    }
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

/// Reads a form of either encoding. Files that can't be taken cost none of what was typed: see [`Form::trouble`].
///
/// # Errors
/// 400, 413, 415, or 503 when too much is being received.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    uploads: &Uploads,
) -> Result<Form, Problem> {
    match mime_of(request).as_str() {
        "multipart/form-data" => {
            let reading = read_multipart(request, payload, uploads);
            let late = || Err(body_problem(BodyError::Broken, MAX_FORM_BYTES));
            tokio::time::timeout(UPLOAD_DEADLINE, reading)
                .await
                .unwrap_or_else(|_late| late())
        }
        "application/x-www-form-urlencoded" => {
            let held = [uploads.texts.reserve(), uploads.of(request).reserve()];
            let mut parts = Parts::new(held);
            let [texts, _] = &mut parts.held;
            let bytes = body::read(payload, MAX_REPORT_BYTES, |bytes| texts.grow(bytes)).await;
            let bytes = bytes.map_err(|error| body_problem(error, MAX_REPORT_BYTES))?;
            parts.fields = parse_form::<Vec<(String, String)>>(&bytes)?
                .into_iter()
                .collect();
            Ok(parts.into())
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
    uploads: &Uploads,
) -> Result<Form, Problem> {
    let arrived = Rc::new(Cell::new(0_usize));
    let count = Rc::clone(&arrived);
    let stream = payload.map(move |chunk| {
        let chunk = chunk?;
        count.set(count.get() + chunk.len());
        if count.get() > MAX_DROPPED_BYTES {
            return Err(PayloadError::Overflow);
        }
        Ok(chunk)
    });
    let held = [uploads.texts.reserve(), uploads.of(request).reserve()];
    let mut parts = Parts::new(held);
    let read = parts
        .read(Multipart::new(request.headers(), stream), &arrived)
        .await;
    if arrived.get() > MAX_DROPPED_BYTES {
        return Err(Trouble::TooLarge.problem());
    }
    read.map(|()| parts.into())
}

/// A form that is being read.
struct Parts {
    fields: Fields,
    files: Vec<Vec<u8>>,
    trouble: Option<Trouble>,
    text_bytes: usize,
    /// For the texts, and for the files.
    held: [Reservation; 2],
}

impl From<Parts> for Form {
    fn from(parts: Parts) -> Self {
        Self {
            fields: parts.fields,
            files: parts.files,
            trouble: parts.trouble,
            _held: parts.held,
        }
    }
}

impl Parts {
    fn new(held: [Reservation; 2]) -> Self {
        Self {
            fields: Fields::new(),
            files: Vec::new(),
            trouble: None,
            text_bytes: 0,
            held,
        }
    }

    async fn read(
        &mut self,
        mut multipart: Multipart,
        arrived: &Cell<usize>,
    ) -> Result<(), Problem> {
        let mut count = 0;
        while let Some(part) = multipart.next().await {
            let part = part.map_err(|error| broken(&error))?;
            count += 1;
            if count > MAX_PARTS {
                let detail = format!("The form has more than {MAX_PARTS} fields.");
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
            let file_name = part
                .content_disposition()
                .and_then(|disposition| disposition.get_filename());
            match file_name.map(str::is_empty) {
                // A browser sends a file field that was left empty as a file without a name.
                Some(true) => read_part(part, 0, |_| true).await.map(drop)?,
                Some(false) => self.read_file(part).await?,
                None => self.read_text(part).await?,
            }
            if arrived.get() > MAX_FORM_BYTES {
                self.trouble.get_or_insert(Trouble::TooLarge);
            }
        }
        Ok(())
    }

    async fn read_file(&mut self, part: Field) -> Result<(), Problem> {
        if self.files.len() == MAX_FILES {
            self.trouble.get_or_insert(Trouble::TooManyFiles);
            return read_part(part, 0, |_| true).await.map(drop);
        }
        let [_, held] = &mut self.held;
        match read_part(part, MAX_FILE_BYTES + 1, |bytes| held.grow(bytes)).await? {
            Some(file) => self.files.push(file),
            None => self.trouble = Some(Trouble::NoRoom),
        }
        Ok(())
    }

    async fn read_text(&mut self, part: Field) -> Result<(), Problem> {
        let name = part.name().unwrap_or_default().to_owned();
        let [held, _] = &mut self.held;
        let room = MAX_REPORT_BYTES - self.text_bytes;
        let value = read_part(part, room + 1, |bytes| held.grow(bytes)).await?;
        let mut value = value.ok_or_else(Problem::unavailable)?;
        if value.len() > room {
            value.truncate(room);
            self.trouble.get_or_insert(Trouble::TooMuchText);
        }
        self.text_bytes += value.len();
        self.fields
            .insert(name, String::from_utf8_lossy(&value).into_owned());
        Ok(())
    }
}

/// Reads a part to its end and keeps its first `keep` bytes, for which `take` must have room; `None` if it has not.
async fn read_part(
    mut part: Field,
    keep: usize,
    mut take: impl FnMut(usize) -> bool,
) -> Result<Option<Vec<u8>>, Problem> {
    let mut value = Some(Vec::new());
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        let Some(kept) = &mut value else { continue };
        let chunk = chunk.get(..keep - kept.len()).unwrap_or(&chunk);
        if chunk.is_empty() || take(chunk.len()) {
            kept.extend_from_slice(chunk);
        } else {
            value = None;
        }
    }
    Ok(value)
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("The form could not be read: {error}"),
    )
}
