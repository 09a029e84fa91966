//! Errors on their way out: one value, shown as problem JSON to programs and as a page to people.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::page::{self, ErrorPage, Frame, Switch};
use crate::content::Words;
use crate::db::is_unavailable;
use crate::trace_context;

/// A field that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name on the wire.
    pub field: &'static str,
    /// The rule it breaks, in a sentence.
    pub detail: String,
}

/// An error as it leaves the service (RFC 9457). A 5xx says nothing of its cause but the trace ID.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    reason: Option<Reason>,
}

/// What a person should know of a problem besides its status, in whatever language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// More bytes than the cap.
    TooLarge(usize),
    /// Again in so many seconds.
    TooOften(u64),
    /// The link belongs to no report.
    NoReport,
    /// There is no such picture, or not for them.
    NoPicture,
}

impl Reason {
    /// In a sentence.
    #[must_use]
    pub fn in_words(self, words: &Words) -> String {
        let problems = &words.problems;
        match self {
            Self::TooLarge(cap) => problems.too_large.fill(&[("size", &size(cap))]),
            Self::TooOften(seconds) => problems.too_often.fill(&[("seconds", &seconds)]),
            Self::NoReport => problems.no_report.clone(),
            Self::NoPicture => problems.no_picture.clone(),
        }
    }
}

/// What handlers of the API return.
pub type ApiResult = Result<HttpResponse, Problem>;
/// What handlers of pages return.
pub type PageResult = Result<HttpResponse, PageError>;

impl Problem {
    /// An error with this status; `detail` is a sentence for whoever sent the request.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            reason: None,
        }
    }

    /// 422 with every field that was refused.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "One field is not valid.".to_owned(),
            count => format!("{count} fields are not valid."),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 413, naming the cap.
    #[must_use]
    pub fn too_large(cap: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body is larger than the {} allowed.", size(cap)),
        )
        .with_reason(Reason::TooLarge(cap))
    }

    /// 503: a fault of ours that passes; the client should try again.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is busy or its database is away. Try again shortly.",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("2"))
    }

    /// 500 for a cause that is logged here, once, and not shown.
    #[must_use]
    pub fn internal(cause: &(impl std::fmt::Display + ?Sized)) -> Self {
        tracing::error!(error = %cause, "A request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something failed on our side. The trace ID shows us what.",
        )
    }

    fn of_database(error: &sqlx::Error) -> Self {
        if is_unavailable(error) {
            tracing::warn!(error = %error, "The database is not available");
            Self::unavailable()
        } else {
            Self::internal(error)
        }
    }

    /// The same error with a header more.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same error with what a person should know of it.
    #[must_use]
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// What a person should know of it.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// In a sentence for a reader of these words; in English where there is none in them.
    #[must_use]
    pub fn in_words(&self, words: &Words) -> String {
        self.reason
            .map_or_else(|| self.detail.clone(), |reason| reason.in_words(words))
    }

    /// The same error with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// A response of one's own making with this error's headers.
    #[must_use]
    pub fn respond(&self, mut response: HttpResponse) -> HttpResponse {
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    }
}

/// 3 MiB rather than 3145728 bytes.
fn size(bytes: usize) -> String {
    match bytes {
        1_048_576.. => format!("{} MiB", bytes / 1_048_576),
        1_024.. => format!("{} KiB", bytes / 1_024),
        _ => format!("{bytes} bytes"),
    }
}

/// The body of problem JSON.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    trace_id: String,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = Body {
            // RFC 9457 section 4.2.1: the status says all there is to say of the type.
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            trace_id: current_trace_id(),
            errors: &self.errors,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        self.respond(
            HttpResponse::build(self.status)
                .insert_header((header::CONTENT_TYPE, "application/problem+json"))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .body(text),
        )
    }
}

/// A problem that a person sees: a page.
#[derive(Debug)]
pub struct PageError(pub Problem);

impl<T: Into<Problem>> From<T> for PageError {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

impl std::fmt::Display for PageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        self.page(Frame::public().with_switch(Switch::Home))
    }
}

impl PageError {
    /// The page, in this frame. What only programmers need to know is said in English or not at all.
    #[must_use]
    pub fn page(&self, frame: Frame) -> HttpResponse {
        let Problem { status, detail, .. } = &self.0;
        let detail = match self.0.reason {
            Some(reason) => reason.in_words(&frame.words),
            None if frame.words.tag() == "en" => detail.clone(),
            None => String::new(),
        };
        let page = ErrorPage::new(frame, *status, &detail, &current_trace_id());
        self.0.respond(page::html(*status, &page))
    }
}

/// This request's own trace ID, or nothing outside of a request.
#[must_use]
pub fn current_trace_id() -> String {
    trace_context::current().map_or_else(String::new, |context| context.trace_id.to_string())
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::of_database(&error)
    }
}

impl From<Arc<sqlx::Error>> for Problem {
    fn from(error: Arc<sqlx::Error>) -> Self {
        Self::of_database(&error)
    }
}

impl From<actix_web::error::BlockingError> for Problem {
    fn from(_stopping: actix_web::error::BlockingError) -> Self {
        Self::unavailable()
    }
}
