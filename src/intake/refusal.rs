//! Why something that was sent is not taken: in English for programs, in the reporter's language for people.

use thiserror::Error;

use super::report::{
    MAX_ACTION_CHARS, MAX_AGE, MAX_EMAIL_BYTES, MAX_URL_BYTES, MIN_ACTION_CHARS, ReportKind,
};
use crate::content::Words;
use crate::http::error::FieldError;
use crate::links::trace_ref::{MAX_TEXT_BYTES, Shape, TraceRefError};
use crate::tickets::screenshot::ShotError;

/// A field that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The field's name on the wire.
    pub field: &'static str,
    /// Why.
    pub refusal: Refusal,
}

/// The rule that something breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum Refusal {
    #[error("Say what you were doing, for example \"uploading a 40-page PDF\".")]
    ActionMissing,
    #[error("Say a little more: at least {MIN_ACTION_CHARS} characters.")]
    ActionShort,
    #[error("This has {0} characters; at most {MAX_ACTION_CHARS} are taken.")]
    ActionLong(usize),
    #[error("Give the address of the page, such as https://app.example.com/docs/7.")]
    UrlMissing,
    #[error("This address is too long; at most {MAX_URL_BYTES} bytes are taken.")]
    UrlLong,
    #[error(
        "This is not a whole address. Give the address of the page, such as https://app.example.com/docs/7."
    )]
    UrlBroken,
    #[error(
        "The address must start with http:// or https://. Give the address of the page, such as https://app.example.com/docs/7."
    )]
    UrlScheme,
    #[error("Say roughly when it happened.")]
    TimeMissing,
    #[error("Give a time with its offset from UTC, such as 2026-11-25T10:30:00+01:00.")]
    TimeBroken,
    #[error("This time is in the future.")]
    TimeFuture,
    #[error("This was more than {} days ago.", MAX_AGE.num_days())]
    TimeOld,
    #[error("Choose one of {}.", ReportKind::ALL.map(ReportKind::as_str).join(", "))]
    KindUnknown,
    #[error("This mail address is too long; at most {MAX_EMAIL_BYTES} bytes are taken.")]
    EmailLong,
    #[error("This is not a mail address such as you@example.com.")]
    EmailBroken,
    #[error(transparent)]
    Trace(#[from] TraceRefError),
    #[error(transparent)]
    File(#[from] ShotError),
}

impl Refusal {
    /// In a sentence for the reporter.
    #[must_use]
    pub fn in_words(self, words: &Words) -> String {
        let errors = &words.errors;
        match self {
            Self::ActionMissing => errors.action_missing.clone(),
            Self::ActionShort => errors.action_short.fill(&[("least", &MIN_ACTION_CHARS)]),
            Self::ActionLong(count) => errors
                .action_long
                .fill(&[("count", &count), ("most", &MAX_ACTION_CHARS)]),
            Self::UrlMissing => errors.url_missing.clone(),
            Self::UrlLong => errors.url_long.fill(&[("most", &MAX_URL_BYTES)]),
            Self::UrlBroken => errors.url_broken.clone(),
            Self::UrlScheme => errors.url_scheme.clone(),
            Self::TimeMissing => errors.time_missing.clone(),
            Self::TimeBroken => errors.time_broken.clone(),
            Self::TimeFuture => errors.time_future.clone(),
            Self::TimeOld => errors.time_old.fill(&[("days", &MAX_AGE.num_days())]),
            Self::KindUnknown => errors.kind_unknown.clone(),
            Self::EmailLong => errors.email_long.fill(&[("most", &MAX_EMAIL_BYTES)]),
            Self::EmailBroken => errors.email_broken.clone(),
            Self::Trace(TraceRefError::Empty) => errors.trace_empty.clone(),
            Self::Trace(TraceRefError::AllZero) => errors.trace_zero.clone(),
            Self::Trace(TraceRefError::TooLong) => {
                errors.trace_long.fill(&[("most", &MAX_TEXT_BYTES)])
            }
            Self::Trace(TraceRefError::NotFound) => errors.trace_none.clone(),
            Self::File(error) => error.in_words(words),
        }
    }
}

impl From<Refused> for FieldError {
    fn from(refused: Refused) -> Self {
        Self {
            field: refused.field,
            detail: refused.refusal.to_string(),
        }
    }
}

/// The end of "we read this as".
#[must_use]
pub fn shape_in_words(shape: Shape, words: &Words) -> &str {
    let shapes = &words.shapes;
    match shape {
        Shape::Hex => &shapes.hex,
        Shape::ShortHex => &shapes.short_hex,
        Shape::Decimal => &shapes.decimal,
        Shape::Uuid => &shapes.uuid,
        Shape::Base64 => &shapes.base64,
        Shape::Traceparent => &shapes.traceparent,
        Shape::B3 => &shapes.b3,
        Shape::Jaeger => &shapes.jaeger,
        Shape::Sentry => &shapes.sentry,
        Shape::XRay => &shapes.x_ray,
        Shape::GoogleCloud => &shapes.google_cloud,
        Shape::ServerTiming => &shapes.server_timing,
        Shape::Labelled => &shapes.labelled,
        Shape::Json => &shapes.json,
        Shape::Url => &shapes.url,
        Shape::Text => &shapes.text,
    }
}
