//! One export request in, trace parts out: the spans of each trace summarised and packed. Pure and total: whatever
//! the bytes are, the answer is parts, rejected spans and a reason, or an error.

use std::cell::RefCell;
use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::MAX_SPANS_PER_REQUEST;
use crate::clock::new_id;
use crate::failure_rule::FailureRules;
use crate::traces::check;
use crate::traces::facts::{SpanFacts, Told, service_name};
use crate::traces::failure;
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::otlp::{self, ResourceSpansView, ScopeSpansView, SpanView};
use crate::traces::part::{TracePart, user_ref};
use crate::traces::trace::{SpanKind, SpanStatus};
use crate::traces::wire::{self, WireError};

/// Of parts of 20 kB zstd's level 3 makes 1% less than level 1 (of the real traces in `tests/data`, 4% less to 1% more)
/// and takes half as long again.
const ZSTD_LEVEL: i32 = 1;
/// Longest text kept in a summary column: enough to recognise, and 5 such columns stay near a kilobyte.
const MAX_SUMMARY_CHARS: usize = 200;
/// A span over this is rejected: 4 MiB holds any prompt that a model takes today.
const MAX_SPAN_BYTES: usize = 4 * 1024 * 1024;

/// Parts of a request, encoded, hold at most this much: each has copies of its resources and scopes, so they may be
/// twice the body.
const MAX_ENCODED_BYTES: usize = 2 * 64 * 1024 * 1024;

/// What came of a request.
#[derive(Debug, Default)]
pub struct Split {
    /// The parts, one a trace.
    pub parts: Vec<TracePart>,
    /// Spans in `parts`.
    pub accepted: usize,
    /// Spans left out.
    pub rejected: u64,
    /// Why the first of them was.
    pub first_reason: Option<String>,
}

/// Why nothing of a request can be taken.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// Not an `ExportTraceServiceRequest`.
    #[error("the body is not an OTLP ExportTraceServiceRequest: {0}")]
    Broken(#[from] WireError),
    /// More than [`MAX_SPANS_PER_REQUEST`].
    #[error("the request has more than {MAX_SPANS_PER_REQUEST} spans; send fewer in each export")]
    TooManySpans,
    /// Resources and scopes are repeated for each trace; repeated, they are over `MAX_ENCODED_BYTES`.
    #[error(
        "the request's resources are too large for its number of traces; send fewer spans in each export"
    )]
    TooLarge,
    /// The compressor failed.
    #[error("the spans could not be compressed: {0}")]
    Compress(#[source] std::io::Error),
}

/// Splits an encoded `ExportTraceServiceRequest` (or `TracesData`, which has the same encoding).
///
/// # Errors
/// When the body as a whole can't be taken; single bad spans are counted instead.
pub fn split<'a>(request: &'a [u8], rules: &'a FailureRules) -> Result<Split, SplitError> {
    let mut gathered = Gathered::new(rules);
    for resource in otlp::resource_spans(request) {
        let resource = resource?;
        let checked = check::check_resource(resource.resource);
        let service = service_name(resource.resource);
        for scope in resource.scope_spans() {
            let scope = scope?;
            let checked = checked.and_then(|()| check::check_scope(scope.scope));
            gathered.opened = Some(Scope {
                resource,
                spans: scope,
                service,
            });
            for span in scope.spans() {
                gathered.take(span?, checked)?;
            }
        }
    }
    gathered.pack()
}

struct Gathered<'a> {
    rules: &'a FailureRules,
    /// The scope being read, until one of its spans is taken: an empty one takes two bytes of a body and a hundred
    /// here.
    opened: Option<Scope<'a>>,
    /// Scopes with spans.
    scopes: Vec<Scope<'a>>,
    traces: Vec<(TraceId, Gathering<'a>)>,
    /// Where each trace is in `traces`.
    places: HashMap<TraceId, usize>,
    /// Where the last span's trace is: mostly also that of the next span.
    last: usize,
    split: Split,
}

struct Scope<'a> {
    resource: ResourceSpansView<'a>,
    spans: ScopeSpansView<'a>,
    service: &'a str,
}

/// The spans of one trace, with the scope (an index) that each came under.
#[derive(Default)]
struct Gathering<'a> {
    spans: Vec<(usize, &'a [u8])>,
    facts: Vec<SpanFacts<'a>>,
}

impl<'a> Gathered<'a> {
    fn new(rules: &'a FailureRules) -> Self {
        Self {
            rules,
            opened: None,
            scopes: Vec::new(),
            traces: Vec::new(),
            places: HashMap::new(),
            last: 0,
            split: Split::default(),
        }
    }

    fn take(
        &mut self,
        message: &'a [u8],
        checked: Result<(), WireError>,
    ) -> Result<(), SplitError> {
        if self.split.accepted + usize::try_from(self.split.rejected).unwrap_or(usize::MAX)
            >= MAX_SPANS_PER_REQUEST
        {
            return Err(SplitError::TooManySpans);
        }
        match checked
            .map_err(|error| error.to_string())
            .and_then(|()| self.read(message))
        {
            Ok(()) => self.split.accepted += 1,
            Err(reason) => {
                self.split.rejected += 1;
                self.split.first_reason.get_or_insert(reason);
            }
        }
        Ok(())
    }

    fn read(&mut self, message: &'a [u8]) -> Result<(), String> {
        if message.len() > MAX_SPAN_BYTES {
            return Err(format!("a span is over {MAX_SPAN_BYTES} bytes"));
        }
        let mut told = Told::new(self.rules);
        let span = check::check_span(message, |detail| told.hear(detail))
            .map_err(|error| error.to_string())?;
        let (trace_id, span_id) = ids_of(&span)?;
        let service = self
            .opened
            .as_ref()
            .or(self.scopes.last())
            .map_or("", |scope| scope.service);
        self.scopes.extend(self.opened.take());
        let scope = self.scopes.len() - 1;
        let gathering = self.gathering_of(trace_id);
        gathering.spans.push((scope, message));
        gathering
            .facts
            .push(SpanFacts::new(&span, span_id, service, &told));
        Ok(())
    }

    fn gathering_of(&mut self, trace_id: TraceId) -> &mut Gathering<'a> {
        let is_last = |(last, _): &(TraceId, _)| *last == trace_id;
        if !self.traces.get(self.last).is_some_and(is_last) {
            let next = self.traces.len();
            self.last = *self.places.entry(trace_id).or_insert(next);
            if self.last == next {
                self.traces.push((trace_id, Gathering::default()));
            }
        }
        &mut self.traces[self.last].1
    }

    fn pack(self) -> Result<Split, SplitError> {
        let Self {
            rules,
            scopes,
            traces,
            mut split,
            ..
        } = self;
        split.parts.reserve(traces.len());
        let mut total = 0;
        for (trace_id, gathering) in traces {
            total += encoded_size(&scopes, &gathering.spans);
            if total > MAX_ENCODED_BYTES {
                return Err(SplitError::TooLarge);
            }
            let raw = encode(&scopes, &gathering.spans);
            split
                .parts
                .push(summarise(trace_id, &gathering.facts, &raw, rules)?);
        }
        Ok(split)
    }
}

fn ids_of(span: &SpanView<'_>) -> Result<(TraceId, SpanId), String> {
    let trace_id = TraceId::from_bytes(span.trace_id)
        .ok_or_else(|| wrong_id("trace_id", 16, span.trace_id))?;
    let span_id =
        SpanId::from_bytes(span.span_id).ok_or_else(|| wrong_id("span_id", 8, span.span_id))?;
    if !matches!(span.parent_span_id.len(), 0 | 8) {
        return Err(wrong_id("parent_span_id", 8, span.parent_span_id));
    }
    Ok((trace_id, span_id))
}

fn wrong_id(field: &str, wanted: usize, got: &[u8]) -> String {
    if got.len() == wanted {
        format!("{field} is all zeros")
    } else {
        format!("{field} has {} bytes, not {wanted}", got.len())
    }
}

/// The spans of one scope that follow each other.
struct Run<'a, 'b> {
    scope: &'b Scope<'a>,
    spans: &'b [(usize, &'a [u8])],
    /// Size of the `ScopeSpans` message.
    scope_size: usize,
    /// Size of the `ResourceSpans` message.
    resource_size: usize,
}

fn runs<'a, 'b>(
    scopes: &'b [Scope<'a>],
    spans: &'b [(usize, &'a [u8])],
) -> impl Iterator<Item = Run<'a, 'b>> {
    spans
        .chunk_by(|(left, _), (right, _)| left == right)
        .filter_map(|spans| {
            let scope = spans.first().and_then(|(index, _)| scopes.get(*index))?;
            let spans_size: usize = spans
                .iter()
                .map(|(_, span)| wire::message_size(span.len()))
                .sum();
            let scope_size = optional_size(scope.spans.scope)
                + spans_size
                + optional_size(scope.spans.schema_url.as_bytes());
            let resource_size = optional_size(scope.resource.resource)
                + wire::message_size(scope_size)
                + optional_size(scope.resource.schema_url.as_bytes());
            Some(Run {
                scope,
                spans,
                scope_size,
                resource_size,
            })
        })
}

fn encoded_size(scopes: &[Scope<'_>], spans: &[(usize, &[u8])]) -> usize {
    runs(scopes, spans)
        .map(|run| wire::message_size(run.resource_size))
        .sum()
}

/// The spans as a `TracesData` message, each under a copy of the resource and scope it came with.
fn encode(scopes: &[Scope<'_>], spans: &[(usize, &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_size(scopes, spans));
    for Run {
        scope,
        spans,
        scope_size,
        resource_size,
    } in runs(scopes, spans)
    {
        wire::put_header(&mut out, 1, resource_size);
        put_optional(&mut out, 1, scope.resource.resource);
        wire::put_header(&mut out, 2, scope_size);
        put_optional(&mut out, 1, scope.spans.scope);
        for (_, span) in spans {
            wire::put_message(&mut out, 2, span);
        }
        put_optional(&mut out, 3, scope.spans.schema_url.as_bytes());
        put_optional(&mut out, 3, scope.resource.schema_url.as_bytes());
    }
    out
}

fn optional_size(payload: &[u8]) -> usize {
    if payload.is_empty() {
        0
    } else {
        wire::message_size(payload.len())
    }
}

fn put_optional(out: &mut Vec<u8>, number: u8, payload: &[u8]) {
    if !payload.is_empty() {
        wire::put_message(out, number, payload);
    }
}

fn summarise(
    trace_id: TraceId,
    spans: &[SpanFacts<'_>],
    raw: &[u8],
    rules: &FailureRules,
) -> Result<TracePart, SplitError> {
    let root = spans.iter().find(|span| span.parent_id.is_none());
    let server = spans
        .iter()
        .filter(|span| span.kind == SpanKind::Server)
        .min_by_key(|span| span.start_ns);
    let entry = server.or(root).or(spans.first());
    let errors = spans
        .iter()
        .filter(|span| span.status == SpanStatus::Error)
        .count();
    Ok(TracePart {
        part_id: new_id(),
        trace_id,
        started_at: time_of(spans.iter().map(|span| span.start_ns).min()),
        ended_at: time_of(
            spans
                .iter()
                .map(|span| span.end_ns.max(span.start_ns))
                .max(),
        ),
        span_count: count(spans.len()),
        error_count: count(errors),
        raw_bytes: count(raw.len()),
        service: summary_text(entry.map_or("", |span| span.service)),
        root_name: root.map(|span| summary_text(span.name)),
        page_path: server.and_then(|span| span.url_path).map(summary_text),
        user_ref: spans.iter().find_map(|span| span.user).map(user_ref),
        http_status: server
            .and_then(|span| span.http_status)
            .and_then(|code| i16::try_from(code).ok()),
        failure: failure::find(spans, rules).map(without_nul),
        span_id_tails: spans.iter().map(|span| span.id.tail()).collect(),
        payload: compress(raw).map_err(SplitError::Compress)?,
    })
}

fn without_nul(mut failure: failure::Failure) -> failure::Failure {
    failure.span_name = summary_text(&failure.span_name);
    failure.service = summary_text(&failure.service);
    failure
}

/// Text for a summary column: Postgres refuses NUL.
fn summary_text(text: &str) -> String {
    text.chars()
        .filter(|&c| c != '\0')
        .take(MAX_SUMMARY_CHARS)
        .collect()
}

/// A count for an `integer` column; a request is too small to reach its end.
fn count(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Nanoseconds since the epoch as Postgres keeps time: microseconds. 64 bits reach the year 2554, so all fit.
fn time_of(nanos: Option<u64>) -> DateTime<Utc> {
    let micros = i64::try_from(nanos.unwrap_or(0) / 1_000).unwrap_or(0);
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
}

thread_local! {
    /// A compressor is a megabyte of tables: made once a thread.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

fn compress(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(raw),
        None => compressor
            .insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?)
            .compress(raw),
    })
}
