//! Traces that a ticket may be about, made ready for its page.

use chrono::{DateTime, Utc};

use crate::http::view::When;
use crate::links::candidates::Candidate;
use crate::traces::failure::FailureClass;
use crate::traces::ids::TraceId;

/// One candidate.
#[derive(Debug, Clone)]
pub struct CandidateView {
    /// 32 hex digits.
    pub trace_id: String,
    /// Name of the root span, or the service.
    pub title: String,
    /// Its service.
    pub service: String,
    /// What failed in it.
    pub failure: Option<FailureClass>,
    /// What the failing span said.
    pub message: Option<String>,
    /// When it started.
    pub started: When,
    /// Why it may be the one, strongest first.
    pub reasons: String,
}

impl CandidateView {
    /// A candidate, seen at `now`.
    #[must_use]
    pub fn new(candidate: Candidate, now: DateTime<Utc>) -> Self {
        let Candidate {
            summary, reasons, ..
        } = candidate;
        Self {
            trace_id: TraceId::from_uuid(summary.trace_id)
                .map_or_else(String::new, |id| id.to_string()),
            title: summary.root_name.unwrap_or_else(|| summary.service.clone()),
            service: summary.service,
            failure: summary.failure_class,
            message: summary.failure_message,
            started: When::new(summary.started_at, now),
            reasons: reasons.join(", "),
        }
    }
}
