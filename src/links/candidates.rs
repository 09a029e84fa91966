//! Which stored traces a report without a trace ID may be about: each with a score and the reasons for it. Pure.
//!
//! The weights say what a person would look at: the same page, a failure, the same user, close in time, the same kind
//! of action. They are measured against labelled reports in `bench/`.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::traces::failure::FailureClass;

/// A report's "roughly when" reaches this far to either side.
pub const WINDOW: Duration = Duration::hours(1);
/// The same, in minutes.
const WINDOW_MINUTES: f64 = 60.0;
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
const NEAR_PAGE: u32 = 10;
const FAILED: u32 = 25;
const SAME_USER: u32 = 30;
const SAME_KIND: u32 = 8;
/// For a trace at the very time; half of it 7 minutes off, nothing at the window's edge: most people are exact to a few
/// minutes, and of the others one can't say how far off they are.
const SAME_TIME: u32 = 20;
/// A word that at most one in so many candidates has in its path names a thing: a document, a project. Words of routes
/// are on many.
const RARE_ONE_IN: usize = 20;

/// What a report says that can be compared.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Path of the page.
    pub page_path: String,
    /// Roughly when.
    pub occurred_at: DateTime<Utc>,
    /// When the report was sent: what it is about had begun by then.
    pub reported_at: DateTime<Utc>,
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
    let traces = merge(parts);
    let words = Words::of(&traces);
    let mut candidates: Vec<Candidate> = traces
        .into_iter()
        .map(|summary| score(wanted, &words, summary))
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

/// The first, when it is good and clearly better than the second. Another try of the same person at the same thing is no
/// second: they failed alike, and the nearest in time is the first.
#[must_use]
pub fn clear_winner(ranked: &[Candidate]) -> Option<&Candidate> {
    let first = ranked.first()?;
    let second = ranked
        .iter()
        .skip(1)
        .find(|other| !is_same_try(&first.summary, &other.summary));
    let second = second.map_or(0, |candidate| candidate.score);
    (first.score >= WINNER_SCORE && first.score >= second + WINNER_LEAD).then_some(first)
}

fn is_same_try(one: &PartSummary, other: &PartSummary) -> bool {
    let is_same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    is_same(&one.user_ref, &other.user_ref)
        && is_same(&one.page_path, &other.page_path)
        && one.failure_class == other.failure_class
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

/// How many candidates have a word in their path.
struct Words {
    counts: HashMap<String, usize>,
    traces: usize,
}

impl Words {
    fn of(traces: &[PartSummary]) -> Self {
        let mut counts = HashMap::new();
        for path in traces.iter().filter_map(|one| one.page_path.as_deref()) {
            let words: BTreeSet<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
            for word in words {
                *counts.entry(word.to_owned()).or_insert(0) += 1;
            }
        }
        Self {
            counts,
            traces: traces.len(),
        }
    }

    /// Whether a word names a thing rather than a kind of things: an ID has a digit, and names are rare.
    fn name_object(&self, word: &str) -> bool {
        let count = self.counts.get(word).copied().unwrap_or(0);
        has_id(word) || (word.len() > 3 && count > 0 && count * RARE_ONE_IN <= self.traces)
    }
}

fn score(wanted: &Wanted, words: &Words, summary: PartSummary) -> Candidate {
    let mut weighed: Vec<(u32, String)> = Vec::new();
    weighed.extend(
        summary
            .page_path
            .as_deref()
            .and_then(|path| page_reason(&wanted.page_path, path, words)),
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

fn page_reason(page: &str, path: &str, words: &Words) -> Option<(u32, String)> {
    let (page, path) = (page.trim_end_matches('/'), path.trim_end_matches('/'));
    // The start page is everybody's.
    if page.is_empty() {
        return None;
    }
    if page == path {
        return Some((SAME_PAGE, "the same page".to_owned()));
    }
    let shared: Vec<&str> = page
        .split('/')
        .filter(|word| path.split('/').any(|other| other == *word))
        .collect();
    // A page and the calls it makes have other paths, but name the same document or chat.
    if shared.iter().any(|word| words.name_object(word)) {
        return Some((
            SAME_OBJECT,
            "the same document or chat in its path".to_owned(),
        ));
    }
    // Both name one, and not the same.
    let names_another = page.split('/').any(has_id) && path.split('/').any(has_id);
    let is_near = shared.iter().any(|word| word.len() > 3) && !names_another;
    is_near.then(|| (NEAR_PAGE, "a page of the same part".to_owned()))
}

/// An ID has a digit; a version of an API ("v1") has one too.
fn has_id(word: &str) -> bool {
    let version = word
        .strip_prefix('v')
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    !version && word.bytes().any(|b| b.is_ascii_digit())
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
    if seconds.abs() >= WINDOW.num_seconds() {
        return None;
    }
    let minutes_off = f64::from(i32::try_from(seconds.abs()).ok()?) / 60.0;
    let closeness = 1.0 - (1.0 + minutes_off).ln() / (1.0 + WINDOW_MINUTES).ln();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to SAME_TIME"
    )]
    let weight = (f64::from(SAME_TIME) * closeness).round() as u32;
    let minutes = (seconds.abs() + 30) / 60;
    let words = match (minutes, seconds < 0) {
        (0, _) => "at that very minute".to_owned(),
        (minutes, true) => format!("{minutes} min before"),
        (minutes, false) => format!("{minutes} min after"),
    };
    Some((weight, words))
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
    (says || failure_suits(kind, summary.failure_class))
        .then(|| (SAME_KIND, format!("looks like the kind \"{kind}\"")))
}

/// Failures that only one kind of action has.
fn failure_suits(kind: &str, class: Option<FailureClass>) -> bool {
    match class {
        Some(FailureClass::PromptTooLong) => kind == "chat",
        Some(FailureClass::DocumentFailed | FailureClass::UploadTooLarge) => kind == "upload",
        _ => false,
    }
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
            reported_at: at(90),
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
    fn another_try_of_the_same_person_is_no_second() {
        let failed = Some(FailureClass::Timeout);
        let by = |id, minute, user: &str| PartSummary {
            user_ref: Some(user.to_owned()),
            ..trace(id, minute, "/docs/7", failed)
        };
        let ranked = rank(&wanted(), vec![by(1, 0, "u2"), by(2, -1, "u2")]);
        assert_eq!(clear_winner(&ranked).unwrap().summary.trace_id.as_u128(), 1);
        let ranked = rank(&wanted(), vec![by(1, 0, "u2"), by(2, -1, "u3")]);
        assert!(clear_winner(&ranked).is_none());
    }

    #[test]
    fn rare_words_name_things_and_words_of_routes_do_not() {
        let at_page = |page: &str| Wanted {
            page_path: page.to_owned(),
            ..wanted()
        };
        let failed = Some(FailureClass::Timeout);
        let others = (10..60).map(|id| trace(id, 40, "/api/projects/archive/summary", failed));
        let mut traces: Vec<_> = others.collect();
        traces.push(trace(1, 40, "/api/projects/ocean-drilling/summary", failed));
        let first = |page: &str| {
            let ranked = rank(&at_page(page), traces.clone());
            (
                ranked[0].summary.trace_id.as_u128(),
                ranked[0].reasons[0].clone(),
            )
        };
        let (id, reason) = first("/projects/ocean-drilling");
        assert_eq!(id, 1);
        assert_eq!(reason, "the same document or chat in its path");
        assert_eq!(first("/projects/archive").1, "it failed: took too long");
        // Another chat is not nearly the same, and the start page is everybody's.
        let words = Words::of(&[]);
        assert!(page_reason("/chats/8c1f", "/api/chats/51e0/messages", &words).is_none());
        assert!(page_reason("/chats", "/api/chats/51e0/messages", &words).is_some());
        assert!(page_reason("/", "/", &words).is_none());
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
