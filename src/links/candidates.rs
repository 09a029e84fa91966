//! Which stored traces a report without a trace ID may be about: each with a score and the reasons for it. Pure.
//!
//! The weights say what a person would look at: the same page, a failure, the same user, close in time, the same kind
//! of action. They are measured against labelled reports in `bench/`.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::traces::failure::FailureClass;

/// A report's "roughly when" reaches this far to either side.
pub const WINDOW: Duration = Duration::hours(1);
/// Candidates shown to staff.
pub const MAX_CANDIDATES: usize = 5;
/// A candidate with less is not shown: time alone is no reason.
const MIN_SCORE: u32 = 30;
/// The first is linked by itself from this score on ...
const WINNER_SCORE: u32 = 60;
/// ... when the second is this far behind.
const WINNER_LEAD: u32 = 15;

const SAME_PAGE: u32 = 40;
const SAME_OBJECT: u32 = 30;
const NEAR_PAGE: u32 = 12;
const FAILED: u32 = 25;
const SAME_USER: u32 = 30;
const SAME_KIND: u32 = 8;
/// For a trace at the very time; less in proportion down to nothing at the window's edge.
const SAME_TIME: u32 = 20;

/// What a report says that can be compared.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Path of the page.
    pub page_path: String,
    /// Roughly when.
    pub occurred_at: DateTime<Utc>,
    /// `chat`, `upload`, `workflow`, `api`, `other`.
    pub kind: String,
    /// The reporter's address, hashed as spans' users are.
    pub user_ref: Option<String>,
}

/// What the store tells of one part of a trace.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns, documented in migrations/0001_traces.sql"
)]
pub struct PartSummary {
    pub trace_id: Uuid,
    pub started_at: DateTime<Utc>,
    pub service: String,
    pub root_name: Option<String>,
    pub page_path: Option<String>,
    pub user_ref: Option<String>,
    pub http_status: Option<i16>,
    pub failure_class: Option<FailureClass>,
    pub failing_span: Option<String>,
    pub failure_message: Option<String>,
}

/// A trace that may be the one.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What is known of the trace, from all its parts.
    pub summary: PartSummary,
    /// 0 to about 120.
    pub score: u32,
    /// Why, in words, the strongest reason first.
    pub reasons: Vec<String>,
}

/// The best candidates, best first.
#[must_use]
pub fn rank(wanted: &Wanted, parts: Vec<PartSummary>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = merge(parts)
        .into_iter()
        .map(|summary| score(wanted, summary))
        .filter(|candidate| candidate.score >= MIN_SCORE)
        .collect();
    let distance =
        |candidate: &Candidate| (candidate.summary.started_at - wanted.occurred_at).abs();
    candidates.sort_by(|left, right| {
        right
            .score
            .cmp(&left.score)
            .then(distance(left).cmp(&distance(right)))
    });
    candidates.truncate(MAX_CANDIDATES);
    candidates
}

/// The first, when it is good and clearly better than the second.
#[must_use]
pub fn clear_winner(ranked: &[Candidate]) -> Option<&Candidate> {
    let first = ranked.first()?;
    let second = ranked.get(1).map_or(0, |candidate| candidate.score);
    (first.score >= WINNER_SCORE && first.score >= second + WINNER_LEAD).then_some(first)
}

/// A trace's parts as one: the first that knows a thing says it, and a failure counts whichever part has it.
fn merge(parts: Vec<PartSummary>) -> Vec<PartSummary> {
    let mut traces: HashMap<Uuid, PartSummary> = HashMap::new();
    for part in parts {
        let Some(known) = traces.get_mut(&part.trace_id) else {
            traces.insert(part.trace_id, part);
            continue;
        };
        known.started_at = known.started_at.min(part.started_at);
        known.root_name = known.root_name.take().or(part.root_name);
        known.page_path = known.page_path.take().or(part.page_path);
        known.user_ref = known.user_ref.take().or(part.user_ref);
        known.http_status = known.http_status.or(part.http_status);
        if known.failure_class.is_none() {
            known.failure_class = part.failure_class;
            known.failing_span = part.failing_span;
            known.failure_message = part.failure_message;
            known.service = part.service;
        }
    }
    traces.into_values().collect()
}

fn score(wanted: &Wanted, summary: PartSummary) -> Candidate {
    let mut weighed: Vec<(u32, String)> = Vec::new();
    weighed.extend(
        summary
            .page_path
            .as_deref()
            .and_then(|path| page_reason(&wanted.page_path, path)),
    );
    weighed.extend(failure_reason(&summary));
    if wanted.user_ref.is_some() && wanted.user_ref == summary.user_ref {
        weighed.push((SAME_USER, "the same user".to_owned()));
    }
    weighed.extend(time_reason(wanted.occurred_at, summary.started_at));
    weighed.extend(kind_reason(&wanted.kind, &summary));
    weighed.sort_by_key(|(weight, _)| Reverse(*weight));
    Candidate {
        score: weighed.iter().map(|(weight, _)| weight).sum(),
        reasons: weighed.into_iter().map(|(_, reason)| reason).collect(),
        summary,
    }
}

fn page_reason(page: &str, path: &str) -> Option<(u32, String)> {
    let (page, path) = (page.trim_end_matches('/'), path.trim_end_matches('/'));
    if page == path {
        return Some((SAME_PAGE, "the same page".to_owned()));
    }
    let path_segments: Vec<&str> = path.split('/').collect();
    let shared = |wanted: fn(&str) -> bool| {
        page.split('/')
            .filter(|segment| wanted(segment))
            .any(|segment| path_segments.contains(&segment))
    };
    // A page and the calls it makes have other paths, but name the same document or chat.
    if shared(names_object) {
        return Some((
            SAME_OBJECT,
            "the same document or chat in its path".to_owned(),
        ));
    }
    shared(|segment| segment.len() > 3).then(|| (NEAR_PAGE, "a page of the same part".to_owned()))
}

/// An ID has a digit; a version of an API ("v1") has one too.
fn names_object(segment: &str) -> bool {
    let version = segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    !version && segment.bytes().any(|b| b.is_ascii_digit())
}

fn failure_reason(summary: &PartSummary) -> Option<(u32, String)> {
    let class = summary.failure_class?;
    Some((
        FAILED,
        format!("it failed: {}", class.label().to_lowercase()),
    ))
}

fn time_reason(wanted: DateTime<Utc>, started: DateTime<Utc>) -> Option<(u32, String)> {
    let seconds = (started - wanted).num_seconds();
    let left = WINDOW.num_seconds() - seconds.abs();
    let weight = u32::try_from(i64::from(SAME_TIME) * left / WINDOW.num_seconds()).ok()?;
    let minutes = (seconds.abs() + 30) / 60;
    let words = match (minutes, seconds < 0) {
        (0, _) => "at that very minute".to_owned(),
        (minutes, true) => format!("{minutes} min before"),
        (minutes, false) => format!("{minutes} min after"),
    };
    (weight > 0).then_some((weight, words))
}

/// Words by which a kind of action is known in names of spans, services and paths.
fn kind_reason(kind: &str, summary: &PartSummary) -> Option<(u32, String)> {
    let words: &[&str] = match kind {
        "chat" => &["chat", "message", "completion", "assistant"],
        "upload" => &["upload", "document", "file", "ingest"],
        "workflow" => &["workflow", "blueprint", "pipeline", "job"],
        "api" => &["/api/", "/v1/", "/v2/"],
        _ => return None,
    };
    let texts = [
        Some(summary.service.as_str()),
        summary.root_name.as_deref(),
        summary.page_path.as_deref(),
        summary.failing_span.as_deref(),
    ];
    let says = texts.into_iter().flatten().any(|text| {
        let text = text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    });
    says.then(|| (SAME_KIND, format!("looks like the kind \"{kind}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        "2026-11-25T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::minutes(minute)
    }

    fn wanted() -> Wanted {
        Wanted {
            page_path: "/docs/7".to_owned(),
            occurred_at: at(0),
            kind: "upload".to_owned(),
            user_ref: Some("u1".to_owned()),
        }
    }

    fn trace(id: u128, minute: i64, path: &str, failure: Option<FailureClass>) -> PartSummary {
        PartSummary {
            trace_id: Uuid::from_u128(id),
            started_at: at(minute),
            service: "web".to_owned(),
            root_name: None,
            page_path: Some(path.to_owned()),
            user_ref: None,
            http_status: None,
            failure_class: failure,
            failing_span: None,
            failure_message: None,
        }
    }

    #[test]
    fn the_failed_call_for_the_same_document_comes_first() {
        let failed = Some(FailureClass::DocumentFailed);
        let ranked = rank(
            &wanted(),
            vec![
                trace(1, -1, "/docs/8", failed),
                trace(2, -50, "/docs/7", None),
                trace(3, -2, "/api/docs/7/upload", failed),
                trace(4, 0, "/healthz", None),
            ],
        );
        let ids: Vec<u128> = ranked
            .iter()
            .map(|candidate| candidate.summary.trace_id.as_u128())
            .collect();
        assert_eq!(ids, [3, 1, 2]);
        assert_eq!(clear_winner(&ranked).unwrap().summary.trace_id.as_u128(), 3);
        assert_eq!(
            ranked[0].reasons[0],
            "the same document or chat in its path"
        );
        assert!(ranked[0].reasons.contains(&"2 min before".to_owned()));
    }

    #[test]
    fn two_alike_are_left_to_people() {
        let failed = Some(FailureClass::Timeout);
        let ranked = rank(
            &wanted(),
            vec![
                trace(1, 1, "/docs/7", failed),
                trace(2, 2, "/docs/7", failed),
            ],
        );
        assert_eq!(ranked.len(), 2);
        assert!(clear_winner(&ranked).is_none());
    }

    #[test]
    fn the_same_user_decides() {
        let failed = Some(FailureClass::Timeout);
        let mut theirs = trace(2, 2, "/docs/7", failed);
        theirs.user_ref = Some("u1".to_owned());
        let ranked = rank(&wanted(), vec![trace(1, 0, "/docs/7", failed), theirs]);
        assert_eq!(clear_winner(&ranked).unwrap().summary.trace_id.as_u128(), 2);
    }

    #[test]
    fn parts_of_a_trace_are_one_candidate() {
        let mut late = trace(1, 1, "/ignored", Some(FailureClass::ProviderError));
        late.page_path = None;
        late.service = "llm".to_owned();
        let ranked = rank(&wanted(), vec![trace(1, 0, "/docs/7", None), late]);
        assert_eq!(ranked.len(), 1);
        assert_eq!(
            ranked[0].summary.failure_class,
            Some(FailureClass::ProviderError)
        );
        assert_eq!(ranked[0].summary.service, "llm");
    }

    #[test]
    fn time_alone_is_no_reason_and_the_window_has_an_end() {
        assert!(rank(&wanted(), vec![trace(1, 0, "/other", None)]).is_empty());
        assert!(
            rank(
                &wanted(),
                vec![trace(1, 61, "/x", Some(FailureClass::Timeout))]
            )
            .is_empty()
        );
    }
}
