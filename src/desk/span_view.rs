//! The details of one span, made ready for pages.

use crate::traces::duration_text::format_duration;
use crate::traces::trace::{AttributeValue, Span, SpanEvent, SpanLink, SpanStatus, Trace};
use crate::traces::waterfall::{Marks, Waterfall, is_exception};

/// Characters from which a value is folded away.
const LONG_VALUE_CHARS: usize = 400;

/// Attributes that may hold what a person wrote or was answered; folded away, so that it is looked at on purpose only.
const PRIVATE_KEYS: [&str; 7] = [
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "input.value",
    "output.value",
];

/// The details of one span.
#[derive(Debug, Clone)]
pub struct SpanDetails {
    /// 16 hex digits.
    pub span_id: String,
    /// The operation's name.
    pub name: String,
    /// `service.name`.
    pub service: String,
    /// `server`, `client`, ...
    pub kind: &'static str,
    /// The instrumentation library; empty if not given.
    pub scope: String,
    /// Whether its status is ERROR.
    pub has_error: bool,
    /// The status's message; empty if none.
    pub status_message: String,
    /// Start after the trace's.
    pub offset: String,
    /// How long it took.
    pub duration: String,
    /// What is odd about its place in the tree.
    pub marks: Marks,
    /// The parent it names, 16 hex digits.
    pub parent_id: Option<String>,
    /// Exceptions, in order.
    pub exceptions: Vec<ExceptionView>,
    /// Its own attributes.
    pub attributes: Vec<AttributeView>,
    /// Other events, in order.
    pub events: Vec<EventView>,
    /// Links to other spans.
    pub links: Vec<LinkView>,
    /// Attributes of what produced it.
    pub resource: Vec<AttributeView>,
}

/// An attribute.
#[derive(Debug, Clone)]
pub struct AttributeView {
    /// Its key.
    pub key: String,
    /// Its value, as people read it.
    pub value: String,
    /// Why the value is folded away.
    pub fold: Option<&'static str>,
}

/// A recorded exception.
#[derive(Debug, Clone)]
pub struct ExceptionView {
    /// `exception.type`.
    pub kind: String,
    /// `exception.message`.
    pub message: String,
    /// `exception.stacktrace`.
    pub stack: String,
    /// When, after the trace's start.
    pub offset: String,
}

/// Any other event.
#[derive(Debug, Clone)]
pub struct EventView {
    /// Its name.
    pub name: String,
    /// When, after the trace's start.
    pub offset: String,
    /// Its attributes.
    pub attributes: Vec<AttributeView>,
}

/// A link to another span.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// The other trace, 32 hex digits.
    pub trace_id: Option<String>,
    /// The other span, 16 hex digits.
    pub span_id: Option<String>,
    /// The link's attributes.
    pub attributes: Vec<AttributeView>,
}

impl SpanDetails {
    /// The details of the span in `row` of the `waterfall` that was built from `trace`.
    ///
    /// # Panics
    /// When `row` is not a row of it.
    #[must_use]
    pub fn new(trace: &Trace, waterfall: &Waterfall, row: usize) -> Self {
        let row = &waterfall.rows[row];
        let span = &trace.spans[row.span];
        let offset = |ns: u64| format_duration(ns.saturating_sub(waterfall.started_ns));
        let resource = trace.resources.get(span.resource);
        Self {
            span_id: span.id.to_string(),
            name: span.name.clone(),
            service: waterfall.services[row.service].name.clone(),
            kind: span.kind.label(),
            scope: span.scope.clone(),
            has_error: span.status == SpanStatus::Error,
            status_message: span.status_message.clone(),
            offset: format_duration(row.offset_ns),
            duration: format_duration(row.duration_ns),
            marks: row.marks,
            parent_id: span.parent_id.map(|id| id.to_string()),
            exceptions: exceptions(span, &offset),
            attributes: attributes(&span.attributes),
            events: events(span, &offset),
            links: span.links.iter().map(link).collect(),
            resource: attributes(resource.map_or(&[][..], |resource| &resource.attributes)),
        }
    }
}

fn exceptions(span: &Span, offset: &impl Fn(u64) -> String) -> Vec<ExceptionView> {
    span.events
        .iter()
        .filter(|event| is_exception(event))
        .map(|event| ExceptionView {
            kind: text(event, "exception.type"),
            message: text(event, "exception.message"),
            stack: text(event, "exception.stacktrace"),
            offset: offset(event.time_ns),
        })
        .collect()
}

fn text(event: &SpanEvent, key: &str) -> String {
    event
        .attributes
        .iter()
        .find(|(name, _)| name == key)
        .map_or_else(String::new, |(_, value)| value.to_string())
}

fn events(span: &Span, offset: &impl Fn(u64) -> String) -> Vec<EventView> {
    span.events
        .iter()
        .filter(|event| !is_exception(event))
        .map(|event| EventView {
            name: event.name.clone(),
            offset: offset(event.time_ns),
            attributes: attributes(&event.attributes),
        })
        .collect()
}

fn link(link: &SpanLink) -> LinkView {
    LinkView {
        trace_id: link.trace_id.map(|id| id.to_string()),
        span_id: link.span_id.map(|id| id.to_string()),
        attributes: attributes(&link.attributes),
    }
}

fn attributes(attributes: &[(String, AttributeValue)]) -> Vec<AttributeView> {
    attributes
        .iter()
        .map(|(key, value)| {
            let value = value.to_string();
            AttributeView {
                fold: fold(key, &value),
                key: key.clone(),
                value,
            }
        })
        .collect()
}

fn fold(key: &str, value: &str) -> Option<&'static str> {
    let is_under = |name: &&str| {
        key.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if PRIVATE_KEYS.iter().any(is_under) {
        Some("May hold what someone wrote: show")
    } else if value.chars().nth(LONG_VALUE_CHARS).is_some() {
        Some("Long value: show")
    } else {
        None
    }
}
