//! From stored parts to a whole trace: decompressed, each span once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use zstd::bulk::Decompressor;

use super::facts::{SpanFacts, service_name};
use super::failure::{self, Failure};
use super::ids::{SpanId, TraceId};
use super::otlp::{
    self, EventView, LinkView, ResourceSpansView, ScopeSpansView, SpanView, ValueView,
};
use super::store::{StoredPart, StoredTrace};
use super::trace::{AttributeValue, Resource, Span, SpanEvent, SpanLink, Trace};
use super::wire::{self, WireError};
use crate::failure_rule::FailureRules;

/// Why a stored trace can't be read: damage, since parts are checked before they are stored.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The payload is not zstd, or not of the size that its row says.
    #[error("a stored part does not decompress: {0}")]
    Decompress(#[from] std::io::Error),
    /// The payload is not OTLP.
    #[error("a stored part is not OTLP: {0}")]
    Wire(#[from] WireError),
}

/// The decompressed parts of a trace, oldest first: each an encoded `TracesData`. One after the other they are a
/// `TracesData` too, since protobuf joins repeated fields.
#[derive(Debug)]
pub struct RawTrace {
    /// The trace's ID.
    pub id: TraceId,
    /// One a part.
    pub parts: Vec<Vec<u8>>,
    /// Whether parts were left out.
    pub is_truncated: bool,
}

/// A span with what it came under.
#[derive(Debug, Clone, Copy)]
pub struct PlacedSpan<'a> {
    /// The span's ID.
    pub id: SpanId,
    /// Itself.
    pub span: SpanView<'a>,
    /// Its scope.
    pub scope: ScopeSpansView<'a>,
    /// Its resource.
    pub resource: ResourceSpansView<'a>,
    /// The resource's `service.name`.
    pub service: &'a str,
}

impl RawTrace {
    /// Decompresses what is stored.
    ///
    /// # Errors
    /// [`ReadError`] when a part is damaged.
    pub fn unpack(id: TraceId, stored: &StoredTrace) -> Result<Self, ReadError> {
        let parts: Result<_, _> = stored.parts.iter().map(decompress).collect();
        Ok(Self {
            id,
            parts: parts?,
            is_truncated: stored.is_truncated,
        })
    }

    /// Every span once, in the order in which they came: of spans with the same ID the first one stays.
    ///
    /// # Errors
    /// [`ReadError`] when a part is damaged.
    pub fn spans(&self) -> Result<(Vec<PlacedSpan<'_>>, usize), ReadError> {
        let (mut seen, mut spans, mut duplicate_count) = (HashSet::new(), Vec::new(), 0);
        for resource in self
            .parts
            .iter()
            .flat_map(|part| otlp::resource_spans(part))
        {
            let resource = resource?;
            let service = service_name(resource.resource);
            for scope in resource.scope_spans() {
                let scope = scope?;
                for message in scope.spans() {
                    let span = SpanView::parse(message?)?;
                    match SpanId::from_bytes(span.span_id) {
                        Some(id) if seen.insert(id) => {
                            spans.push(PlacedSpan {
                                id,
                                span,
                                scope,
                                resource,
                                service,
                            });
                        }
                        _ => duplicate_count += 1,
                    }
                }
            }
        }
        Ok((spans, duplicate_count))
    }

    /// The whole trace as one encoded `TracesData`, each span once.
    ///
    /// # Errors
    /// [`ReadError`] when a part is damaged.
    pub fn protobuf(&self) -> Result<Vec<u8>, ReadError> {
        let (spans, duplicate_count) = self.spans()?;
        if duplicate_count == 0 {
            // Encoded messages that follow each other are one message with all their repeated fields.
            return Ok(self.parts.concat());
        }
        let mut out = Vec::with_capacity(self.parts.iter().map(Vec::len).sum());
        for run in spans.chunk_by(PlacedSpan::is_in_same_scope) {
            put_resource_spans(&mut out, run);
        }
        Ok(out)
    }

    /// What went wrong in the whole trace.
    ///
    /// # Errors
    /// [`ReadError`] when a part is damaged.
    pub fn failure(&self, rules: &FailureRules) -> Result<Option<Failure>, ReadError> {
        let (spans, _) = self.spans()?;
        let facts: Result<Vec<_>, _> = spans
            .iter()
            .map(|placed| SpanFacts::read(&placed.span, placed.id, placed.service, rules))
            .collect();
        Ok(failure::find(&facts?, rules))
    }

    /// The trace as it is shown, spans by start.
    ///
    /// # Errors
    /// [`ReadError`] when a part is damaged.
    pub fn assemble(&self) -> Result<Trace, ReadError> {
        let (placed, duplicate_count) = self.spans()?;
        let mut trace = Trace {
            id: self.id,
            resources: Vec::new(),
            spans: Vec::with_capacity(placed.len()),
            duplicate_count,
            is_truncated: self.is_truncated,
        };
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        for run in placed.chunk_by(PlacedSpan::is_in_same_scope) {
            let Some(first) = run.first() else { continue };
            // Parts repeat their resources byte for byte.
            let resource = if let Some(&index) = known.get(first.resource.resource) {
                index
            } else {
                trace.resources.push(resource_of(first)?);
                known.insert(first.resource.resource, trace.resources.len() - 1);
                trace.resources.len() - 1
            };
            for span in run {
                trace.spans.push(span_of(span, resource)?);
            }
        }
        trace
            .spans
            .sort_by_key(|span| (span.start_ns, span.end_ns, span.id));
        Ok(trace)
    }
}

impl PlacedSpan<'_> {
    /// Whether both stand under the same `ScopeSpans`, at the same place of the same part.
    #[must_use]
    pub fn is_in_same_scope(&self, other: &Self) -> bool {
        std::ptr::eq(self.scope.message(), other.scope.message())
    }
}

/// Writes spans of one scope under a copy of it and its resource.
fn put_resource_spans(out: &mut Vec<u8>, run: &[PlacedSpan<'_>]) {
    let Some(first) = run.first() else { return };
    let mut scope = Vec::new();
    wire::put_message(&mut scope, 1, first.scope.scope);
    for placed in run {
        wire::put_message(&mut scope, 2, placed.span.message);
    }
    wire::put_message(&mut scope, 3, first.scope.schema_url.as_bytes());
    let mut resource = Vec::new();
    wire::put_message(&mut resource, 1, first.resource.resource);
    wire::put_message(&mut resource, 2, &scope);
    wire::put_message(&mut resource, 3, first.resource.schema_url.as_bytes());
    wire::put_message(out, 1, &resource);
}

thread_local! {
    /// A decompressor is 160 kB of tables: made once a thread.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(part: &StoredPart) -> std::io::Result<Vec<u8>> {
    let size = usize::try_from(part.raw_bytes).unwrap_or(0);
    DECOMPRESSOR.with_borrow_mut(|decompressor| match decompressor {
        Some(decompressor) => decompressor.decompress(&part.payload, size),
        None => decompressor
            .insert(Decompressor::new()?)
            .decompress(&part.payload, size),
    })
}

fn resource_of(placed: &PlacedSpan<'_>) -> Result<Resource, WireError> {
    Ok(Resource {
        service: placed.service.to_owned(),
        attributes: owned(otlp::attributes(placed.resource.resource, 1))?,
    })
}

fn span_of(placed: &PlacedSpan<'_>, resource: usize) -> Result<Span, WireError> {
    let span = &placed.span;
    let (name, version) = otlp::scope_label(placed.scope.scope)?;
    Ok(Span {
        id: placed.id,
        parent_id: SpanId::from_bytes(span.parent_span_id),
        resource,
        scope: format!("{name} {version}").trim().to_owned(),
        name: span.name.to_owned(),
        kind: span.kind,
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        status: span.status,
        status_message: span.status_message.to_owned(),
        attributes: owned(span.attributes())?,
        events: span
            .events()
            .map(|event| event_of(&event?))
            .collect::<Result<_, _>>()?,
        links: span
            .links()
            .map(|link| link_of(&link?))
            .collect::<Result<_, _>>()?,
    })
}

fn event_of(event: &EventView<'_>) -> Result<SpanEvent, WireError> {
    Ok(SpanEvent {
        time_ns: event.time_ns,
        name: event.name.to_owned(),
        attributes: owned(event.attributes())?,
    })
}

fn link_of(link: &LinkView<'_>) -> Result<SpanLink, WireError> {
    Ok(SpanLink {
        trace_id: TraceId::from_bytes(link.trace_id),
        span_id: SpanId::from_bytes(link.span_id),
        attributes: owned(link.attributes())?,
    })
}

fn owned<'a>(
    attributes: impl Iterator<Item = Result<(&'a str, ValueView<'a>), WireError>>,
) -> Result<Vec<(String, AttributeValue)>, WireError> {
    attributes
        .map(|attribute| attribute.and_then(|(key, value)| Ok((key.to_owned(), value_of(value)?))))
        .collect()
}

/// Nesting was bounded when the span was checked, so this recursion is.
fn value_of(value: ValueView<'_>) -> Result<AttributeValue, WireError> {
    Ok(match value {
        ValueView::Empty => AttributeValue::Empty,
        ValueView::String(text) => AttributeValue::String(text.to_owned()),
        ValueView::Bool(value) => AttributeValue::Bool(value),
        ValueView::Int(value) => AttributeValue::Int(value),
        ValueView::Double(value) => AttributeValue::Double(value),
        ValueView::Bytes(bytes) => AttributeValue::Bytes(bytes.to_owned()),
        ValueView::Array(values) => AttributeValue::Array(
            otlp::array_values(values)
                .map(|value| value_of(value?))
                .collect::<Result<_, _>>()?,
        ),
        ValueView::Map(entries) => AttributeValue::Map(owned(otlp::attributes(entries, 1))?),
    })
}
