//! What went wrong in a trace: class, failing span, message, and a fingerprint that is equal for the same failure in
//! other traces. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::classify::classify;
use super::facts::SpanFacts;
use super::ids::SpanId;
use super::trace::SpanStatus;
pub use crate::failure_class::FailureClass;
use crate::failure_rule::{FailureRules, RuleIndex};

/// The failure of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// The deepest error that explains its parents.
    pub span_id: SpanId,
    /// `service.name` of the failing span.
    pub service: String,
    /// Name of the failing span.
    pub span_name: String,
    /// What it said, at most [`MAX_MESSAGE_CHARS`] characters; never empty.
    pub message: String,
    /// Equal for the same failure in other traces: a hash of class, service, span name and the message's shape.
    pub fingerprint: i64,
    /// Start of the failing span, nanoseconds since the epoch.
    pub started_ns: u64,
    /// Duration of the failing span in nanoseconds.
    pub duration_ns: u64,
    /// The operator's rule that gave the class, as a ticket remembers it.
    pub rule: Option<String>,
    /// What the reporter can do about it, in English: of that rule, or of the class.
    pub advice: String,
}

/// Longest failure message kept: a line or three in a mail, and a bound on the summary row.
pub const MAX_MESSAGE_CHARS: usize = 500;

/// Finds the failure of a trace, or of the part of it that is at hand.
#[must_use]
pub fn find(spans: &[SpanFacts<'_>], rules: &FailureRules) -> Option<Failure> {
    let failed: Vec<bool> = spans.iter().map(SpanFacts::has_failed).collect();
    if failed.contains(&true) {
        return explain(spans, &failed, rules);
    }
    // Nobody set an outcome: an exception that was recorded is the best there is.
    let failed: Vec<bool> = spans.iter().map(SpanFacts::may_have_failed).collect();
    failed
        .contains(&true)
        .then(|| explain(spans, &failed, rules))
        .flatten()
}

/// Walks from the failed span nearest to the root down to the deepest one that explains it.
fn explain(spans: &[SpanFacts<'_>], failed: &[bool], rules: &FailureRules) -> Option<Failure> {
    let tree = FailedTree::build(spans, failed);
    let mut at = tree.pick(&tree.tops, spans)?;
    let mut chain = vec![at];
    // Ends: every step goes down the tree, which has each span once.
    while let Some(next) = tree
        .below
        .get(&at)
        .and_then(|below| tree.pick(below, spans))
    {
        chain.push(next);
        at = next;
    }
    let deepest = spans.get(at)?;
    let message = message_of(speaker(&chain, spans).unwrap_or(deepest));
    let (class, rule) = class_of_chain(&chain, spans, rules);
    let rule = rule.and_then(|rule| rules.name(rule)).map(str::to_owned);
    Some(Failure {
        advice: rules.english_advice(class, rule.as_deref()),
        rule,
        ..Failure::of(deepest, class, message)
    })
}

/// Who on the way up tells most: the deepest span, or where that has a bare code (an HTTP client's span under the
/// call that made it), the nearest one of the same service that has words.
fn speaker<'a, 'b>(chain: &[usize], spans: &'a [SpanFacts<'b>]) -> Option<&'a SpanFacts<'b>> {
    let deepest = spans.get(*chain.last()?)?;
    let upwards = chain.iter().rev().filter_map(|&index| spans.get(index));
    upwards
        .take_while(|span| span.service == deepest.service)
        .find(|span| has_words(span))
}

fn has_words(span: &SpanFacts<'_>) -> bool {
    let texts = [
        span.exception_message,
        span.status_message,
        span.exception_type,
        span.error_type,
    ];
    texts
        .iter()
        .any(|text| text.contains(|c: char| c.is_alphabetic()))
}

/// The most telling class on the way up: an exception without details under an HTTP 429 is a 429.
fn class_of_chain(
    chain: &[usize],
    spans: &[SpanFacts<'_>],
    rules: &FailureRules,
) -> (FailureClass, Option<RuleIndex>) {
    let upwards = chain.iter().rev().filter_map(|&index| spans.get(index));
    upwards
        .map(|span| classify(span, rules))
        .find(|(class, rule)| *class != FailureClass::InternalError || rule.is_some())
        .unwrap_or((FailureClass::InternalError, None))
}

/// The failed spans of a trace, each below the nearest failed span above it.
struct FailedTree {
    /// Failed spans with no failed span above them.
    tops: Vec<usize>,
    below: HashMap<usize, Vec<usize>>,
    depth: Vec<usize>,
    /// Failed, but a later sibling of the same name did not: a retry that worked.
    recovered: Vec<bool>,
}

impl FailedTree {
    fn build(spans: &[SpanFacts<'_>], failed: &[bool]) -> Self {
        let index: HashMap<SpanId, usize> = spans
            .iter()
            .enumerate()
            .map(|(at, span)| (span.id, at))
            .collect();
        let parent_of = |at: usize| {
            spans
                .get(at)?
                .parent_id
                .and_then(|id| index.get(&id).copied())
        };
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut starts = Vec::new();
        for at in 0..spans.len() {
            match parent_of(at).filter(|&parent| parent != at) {
                Some(parent) => children.entry(parent).or_default().push(at),
                None => starts.push(at),
            }
        }
        let mut tree = Self {
            tops: Vec::new(),
            below: HashMap::new(),
            depth: vec![0; spans.len()],
            recovered: recovered(spans, failed),
        };
        let mut seen = vec![false; spans.len()];
        // Members of a cycle are reached from none of the roots: each unseen span is a start of its own.
        for start in starts.into_iter().chain(0..spans.len()) {
            tree.walk(start, spans, failed, &children, &mut seen);
        }
        tree
    }

    fn walk(
        &mut self,
        start: usize,
        spans: &[SpanFacts<'_>],
        failed: &[bool],
        children: &HashMap<usize, Vec<usize>>,
        seen: &mut [bool],
    ) {
        let mut stack = vec![(start, None, 0)];
        while let Some((at, above, depth)) = stack.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            self.depth[at] = depth;
            let mut above = above;
            if failed[at] {
                match above {
                    Some(parent) => self.below.entry(parent).or_default().push(at),
                    None => self.tops.push(at),
                }
                above = Some(at);
            } else if spans[at].status == SpanStatus::Ok {
                // Somebody looked at what is below and called it a success: it explains nothing above.
                above = None;
            }
            let below = children.get(&at).into_iter().flatten();
            stack.extend(below.map(|&child| (child, above, depth + 1)));
        }
    }

    /// Not recovered before recovered, nearest to the root first, then the one that ended last: of several attempts
    /// the last one is what made the caller give up.
    fn pick(&self, candidates: &[usize], spans: &[SpanFacts<'_>]) -> Option<usize> {
        candidates.iter().copied().min_by_key(|&at| {
            (
                self.recovered[at],
                self.depth[at],
                Reverse(spans[at].end_ns),
                at,
            )
        })
    }
}

fn recovered(spans: &[SpanFacts<'_>], failed: &[bool]) -> Vec<bool> {
    let mut last_success: HashMap<(Option<SpanId>, &str), u64> = HashMap::new();
    for (span, _) in spans.iter().zip(failed).filter(|(_, failed)| !**failed) {
        let latest = last_success.entry((span.parent_id, span.name)).or_default();
        *latest = span.start_ns.max(*latest);
    }
    let succeeded_after = |span: &SpanFacts<'_>| {
        last_success
            .get(&(span.parent_id, span.name))
            .is_some_and(|&start| start >= span.end_ns)
    };
    // A root has no siblings that could be its retries.
    spans
        .iter()
        .map(|span| span.parent_id.is_some() && succeeded_after(span))
        .collect()
}

impl Failure {
    fn of(span: &SpanFacts<'_>, class: FailureClass, message: String) -> Self {
        Self {
            class,
            span_id: span.id,
            service: span.service.to_owned(),
            span_name: span.name.to_owned(),
            fingerprint: fingerprint(class, span, &message),
            message,
            started_ns: span.start_ns,
            duration_ns: span.end_ns.saturating_sub(span.start_ns),
            rule: None,
            advice: class.advice().to_owned(),
        }
    }
}

/// What the span says went wrong, from the most telling place that has something.
fn message_of(span: &SpanFacts<'_>) -> String {
    let text = [span.exception_message, span.status_message]
        .into_iter()
        .find(|text| !text.trim().is_empty());
    let kind = [span.exception_type, span.error_type]
        .into_iter()
        .find(|text| !text.is_empty());
    let message = match (kind, text, span.http_status) {
        (Some(kind), Some(text), _) if !text.contains(kind) => format!("{kind}: {text}"),
        (_, Some(text), _) => text.to_owned(),
        (_, None, Some(code)) if code >= 400 => format!("HTTP {code}"),
        (Some(kind), None, _) => kind.to_owned(),
        (None, None, _) => match span.grpc_status {
            Some(code) if code != 0 => format!("gRPC status {code}"),
            _ => "failed without a message".to_owned(),
        },
    };
    message
        .chars()
        .filter(|&c| c != '\0')
        .take(MAX_MESSAGE_CHARS)
        .collect()
}

/// Hashes what stays the same when the same thing fails again: words with a digit in them (IDs, counts, times) are
/// left out. First 8 bytes of SHA-256.
fn fingerprint(class: FailureClass, span: &SpanFacts<'_>, message: &str) -> i64 {
    let mut hash = Sha256::new();
    for part in [class.as_str(), span.service, span.name, message] {
        let words = part
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        for word in words {
            let has_digit = word.bytes().any(|b| b.is_ascii_digit());
            hash.update(if has_digit { "#" } else { word });
            hash.update(" ");
        }
        hash.update("\n");
    }
    let digest = hash.finalize();
    digest.first_chunk().copied().map_or(0, i64::from_be_bytes)
}
