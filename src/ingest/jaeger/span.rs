//! One span or process of Jaeger as OTLP messages.
//!
//! Tags that Jaeger's own translation makes of OTLP fields (`span.kind`, `otel.status_code`, `otel.scope.name`, ...)
//! become those fields again; see "OpenTelemetry to Jaeger Transformation" in the OpenTelemetry specification.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::Value;

use super::super::json::value::{
    Fault, Fields, attribute, base64_bytes, boolean, double, id_bytes, integer, into_text,
};

/// Bytes of a trace ID.
const TRACE_ID: usize = 16;
/// Bytes of a span ID.
const SPAN_ID: usize = 8;
/// Jaeger's times are in microseconds.
const NS_PER_US: u64 = 1_000;

/// A span with what OTLP keeps outside of it.
pub(super) struct JaegerSpan {
    pub(super) span: Span,
    pub(super) scope: InstrumentationScope,
    pub(super) process: Process,
}

/// The process of a span: by its key in the trace's `processes`, or inline.
pub(super) enum Process {
    Key(String),
    Inline { json: String, resource: Resource },
}

impl Process {
    /// Equal for spans of the same process.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Key(key) => key,
            Self::Inline { json, .. } => json,
        }
    }

    /// The resource, taken out of the trace's processes; an empty one if the trace does not describe the process.
    pub(super) fn into_resource(self, processes: &mut HashMap<String, Resource>) -> Resource {
        match self {
            Self::Key(key) => processes.remove(&key).unwrap_or_default(),
            Self::Inline { resource, .. } => resource,
        }
    }
}

/// Reads a span; `trace_id` stands in for an absent one.
pub(super) fn span(mut fields: Fields, trace_id: &str) -> Result<JaegerSpan, Fault> {
    let own_id = fields.take(&["traceID", "traceId"]);
    let own_id = own_id.unwrap_or_else(|| Value::String(trace_id.to_owned()));
    let trace_id = padded_id::<TRACE_ID>("traceID", &own_id)?;
    let (parent_span_id, links) = references(&mut fields, &trace_id)?;
    let mut tags = tags(fields.objects(&["tags"])?);
    tags.extend(warnings(fields.list(&["warnings"])?));
    let start: u64 = fields
        .integer::<u64>(&["startTime"])?
        .saturating_mul(NS_PER_US);
    let duration = fields
        .integer::<u64>(&["duration"])?
        .saturating_mul(NS_PER_US);
    let scope = scope(&mut tags);
    let span_id = fields.take(&["spanID", "spanId"]).unwrap_or_default();
    take_tag(&mut tags, "internal.span.format");
    Ok(JaegerSpan {
        process: process(&mut fields)?,
        scope,
        span: Span {
            trace_id,
            span_id: padded_id::<SPAN_ID>("spanID", &span_id)?,
            parent_span_id,
            links,
            trace_state: take_text(&mut tags, "w3c.tracestate"),
            flags: fields.integer(&["flags"])?,
            name: fields.text(&["operationName"])?,
            kind: kind(&mut tags),
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(duration),
            events: events(fields.objects(&["logs"])?)?,
            status: status(&mut tags),
            attributes: tags,
            ..Span::default()
        },
    })
}

/// Reads a process: its name is OTLP's `service.name`, its tags are the other attributes.
pub(super) fn resource(mut fields: Fields) -> Resource {
    let name = fields.take(&["serviceName"]).map(into_text);
    let name = name.map(|name| attribute("service.name", OtlpValue::StringValue(name)));
    let tags = fields.objects(&["tags"]).map(tags).unwrap_or_default();
    Resource {
        attributes: name.into_iter().chain(tags).collect(),
        ..Resource::default()
    }
}

fn process(fields: &mut Fields) -> Result<Process, Fault> {
    let inline = fields.take(&["process"]);
    let Some(inline @ Value::Object(_)) = inline else {
        return Ok(Process::Key(fields.text(&["processID", "processId"])?));
    };
    let json = inline.to_string();
    let resource = Fields::from_value(inline).map(resource).unwrap_or_default();
    Ok(Process::Inline { json, resource })
}

/// An ID with the zeros that Jaeger leaves out in front, or in base64 as its other API writes it.
fn padded_id<const LENGTH: usize>(name: &'static str, value: &Value) -> Result<Vec<u8>, Fault> {
    let text = value.as_str().unwrap_or_default().trim();
    let width = 2 * LENGTH;
    let padded = (!text.is_empty()).then(|| hex::decode(format!("{text:0>width$}")).ok());
    let bytes = padded.flatten().filter(|bytes| bytes.len() == LENGTH);
    bytes
        .or_else(|| id_bytes(text, LENGTH).filter(|bytes| bytes.len() == LENGTH))
        .ok_or_else(|| Fault::field(name, value, "hex digits"))
}

/// The parent and the span links. The parent is the first `CHILD_OF`, else the first `FOLLOWS_FROM`, in this trace.
fn references(fields: &mut Fields, trace_id: &[u8]) -> Result<(Vec<u8>, Vec<Link>), Fault> {
    let mut links: Vec<(bool, Link)> = fields.objects(&["references"])?.map(link).collect();
    let parent = [true, false].into_iter().find_map(|is_child| {
        let is_parent = |(child, link): &(bool, Link)| {
            *child == is_child && link.trace_id == trace_id && !link.span_id.is_empty()
        };
        links.iter().position(is_parent)
    });
    let parent = match parent {
        Some(index) => links.remove(index).1.span_id,
        None => match fields.take(&["parentSpanID", "parentSpanId"]) {
            Some(Value::String(text)) if text.trim().is_empty() => Vec::new(),
            Some(id) => padded_id::<SPAN_ID>("parentSpanID", &id)?,
            None => Vec::new(),
        },
    };
    Ok((parent, links.into_iter().map(|(_, link)| link).collect()))
}

/// A reference, and whether it is `CHILD_OF`. An ID that can't be read is left out of it.
fn link(mut fields: Fields) -> (bool, Link) {
    let kind = fields.take(&["refType"]).map(into_text).unwrap_or_default();
    let trace_id = fields.take(&["traceID", "traceId"]).unwrap_or_default();
    let span_id = fields.take(&["spanID", "spanId"]).unwrap_or_default();
    let link = Link {
        trace_id: padded_id::<TRACE_ID>("traceID", &trace_id).unwrap_or_default(),
        span_id: padded_id::<SPAN_ID>("spanID", &span_id).unwrap_or_default(),
        attributes: vec![attribute(
            "opentracing.ref_type",
            OtlpValue::StringValue(kind.to_ascii_lowercase()),
        )],
        ..Link::default()
    };
    (kind == "CHILD_OF", link)
}

fn tags(entries: impl Iterator<Item = Fields>) -> Vec<KeyValue> {
    entries.map(tag).collect()
}

/// A tag by its stated type; a value of another type is kept as text.
fn tag(mut fields: Fields) -> KeyValue {
    let key = fields.take(&["key"]).map(into_text).unwrap_or_default();
    let kind = fields.take(&["type"]).map(into_text).unwrap_or_default();
    let Some(value) = fields.take(&["value"]) else {
        return KeyValue {
            key,
            ..KeyValue::default()
        };
    };
    let read = match (kind.to_ascii_lowercase().as_str(), &value) {
        ("bool", _) | ("", Value::Bool(_)) => boolean(&value).map(OtlpValue::BoolValue),
        ("int64", _) => integer(&value).map(OtlpValue::IntValue),
        ("float64", _) => double(&value).map(OtlpValue::DoubleValue),
        ("binary", Value::String(text)) => base64_bytes(text).map(OtlpValue::BytesValue),
        ("", Value::Number(_)) => {
            let whole = integer(&value).map(OtlpValue::IntValue);
            whole.or_else(|| double(&value).map(OtlpValue::DoubleValue))
        }
        _ => None,
    };
    attribute(
        key,
        read.unwrap_or_else(|| OtlpValue::StringValue(into_text(value))),
    )
}

/// Jaeger's remarks on a span, such as a clock that it corrected.
fn warnings(warnings: Vec<Value>) -> Option<KeyValue> {
    let values: Vec<AnyValue> = warnings
        .into_iter()
        .map(|warning| AnyValue {
            value: Some(OtlpValue::StringValue(into_text(warning))),
        })
        .collect();
    (!values.is_empty()).then(|| {
        attribute(
            "jaeger.warnings",
            OtlpValue::ArrayValue(ArrayValue { values }),
        )
    })
}

/// Takes the first tag of this key out of the list.
fn take_tag(tags: &mut Vec<KeyValue>, key: &str) -> Option<OtlpValue> {
    let index = tags.iter().position(|tag| tag.key == key)?;
    tags.remove(index).value?.value
}

fn take_text(tags: &mut Vec<KeyValue>, key: &str) -> String {
    match take_tag(tags, key) {
        Some(OtlpValue::StringValue(text)) => text,
        _ => String::new(),
    }
}

fn scope(tags: &mut Vec<KeyValue>) -> InstrumentationScope {
    let mut either = |new: &str, old: &str| {
        let (new, old) = (take_text(tags, new), take_text(tags, old));
        if new.is_empty() { old } else { new }
    };
    InstrumentationScope {
        name: either("otel.scope.name", "otel.library.name"),
        version: either("otel.scope.version", "otel.library.version"),
        ..InstrumentationScope::default()
    }
}

fn kind(tags: &mut Vec<KeyValue>) -> i32 {
    let kind = match take_text(tags, "span.kind").to_ascii_lowercase().as_str() {
        "internal" => SpanKind::Internal,
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    };
    kind.into()
}

/// The status from `otel.status_code`, else from the `error` of `OpenTracing`, which some set to the error's words.
fn status(tags: &mut Vec<KeyValue>) -> Option<Status> {
    let code = take_text(tags, "otel.status_code").to_ascii_uppercase();
    let mut message = take_text(tags, "otel.status_description");
    let error = take_tag(tags, "error");
    let is_error = match error {
        Some(OtlpValue::BoolValue(is_error)) => is_error,
        Some(OtlpValue::StringValue(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" | "" => false,
            _ => {
                tags.push(attribute("error", OtlpValue::StringValue(text.clone())));
                message = if message.is_empty() { text } else { message };
                true
            }
        },
        Some(other) => {
            tags.push(attribute("error", other));
            false
        }
        None => false,
    };
    let code = match code.as_str() {
        "ERROR" => StatusCode::Error,
        "OK" => StatusCode::Ok,
        _ if is_error => StatusCode::Error,
        _ => StatusCode::Unset,
    };
    let is_set = code != StatusCode::Unset || !message.is_empty();
    is_set.then(|| Status {
        message,
        code: code.into(),
    })
}

fn events(logs: impl Iterator<Item = Fields>) -> Result<Vec<Event>, Fault> {
    logs.map(event).collect()
}

/// A log: its field `event` is the event's name.
fn event(mut log: Fields) -> Result<Event, Fault> {
    let mut attributes = tags(log.objects(&["fields"])?);
    let mut name = take_text(&mut attributes, "event");
    if name == "error" {
        as_exception(&mut attributes);
    }
    let is_exception = attributes
        .iter()
        .any(|field| field.key.starts_with("exception."));
    if is_exception && matches!(name.as_str(), "error" | "") {
        "exception".clone_into(&mut name);
    }
    if name.is_empty() {
        "log".clone_into(&mut name);
    }
    let time: u64 = log.integer(&["timestamp"])?;
    Ok(Event {
        time_unix_nano: time.saturating_mul(NS_PER_US),
        name,
        attributes,
        ..Event::default()
    })
}

/// Renames the fields of `OpenTracing` error logs to OpenTelemetry's, unless those are there.
fn as_exception(fields: &mut [KeyValue]) {
    for (old, new) in [
        ("error.kind", "exception.type"),
        ("message", "exception.message"),
        ("stack", "exception.stacktrace"),
    ] {
        if fields.iter().any(|field| field.key == new) {
            continue;
        }
        if let Some(field) = fields.iter_mut().find(|field| field.key == old) {
            new.clone_into(&mut field.key);
        }
    }
}
