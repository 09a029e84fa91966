//! One span, resource or scope of OTLP JSON as its protobuf message.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::Value;

use super::value::{Fault, Fields, integer};

/// Bytes of a trace ID.
const TRACE_ID: usize = 16;
/// Bytes of a span ID.
const SPAN_ID: usize = 8;

/// Reads a span. Its IDs may have a wrong length or be zero; those are rejected with the protobuf ones.
pub(super) fn span(mut fields: Fields) -> Result<Span, Fault> {
    Ok(Span {
        trace_id: fields.id::<TRACE_ID>(&["traceId", "trace_id"])?,
        span_id: fields.id::<SPAN_ID>(&["spanId", "span_id"])?,
        parent_span_id: fields.id::<SPAN_ID>(&["parentSpanId", "parent_span_id"])?,
        trace_state: fields.text(&["traceState", "trace_state"])?,
        flags: fields.integer(&["flags"])?,
        name: fields.text(&["name"])?,
        kind: kind(fields.take(&["kind"])),
        start_time_unix_nano: fields.integer(&["startTimeUnixNano", "start_time_unix_nano"])?,
        end_time_unix_nano: fields.integer(&["endTimeUnixNano", "end_time_unix_nano"])?,
        attributes: fields.attributes()?,
        dropped_attributes_count: dropped_attributes(&mut fields)?,
        events: fields
            .objects(&["events"])?
            .map(event)
            .collect::<Result<_, _>>()?,
        dropped_events_count: fields.integer(&["droppedEventsCount", "dropped_events_count"])?,
        links: fields
            .objects(&["links"])?
            .map(link)
            .collect::<Result<_, _>>()?,
        dropped_links_count: fields.integer(&["droppedLinksCount", "dropped_links_count"])?,
        status: fields.take(&["status"]).map(status).transpose()?,
    })
}

/// Reads a resource.
pub(super) fn resource(mut fields: Fields) -> Result<Resource, Fault> {
    Ok(Resource {
        attributes: fields.attributes()?,
        dropped_attributes_count: dropped_attributes(&mut fields)?,
        entity_refs: Vec::new(),
    })
}

/// Reads an instrumentation scope.
pub(super) fn scope(mut fields: Fields) -> Result<InstrumentationScope, Fault> {
    Ok(InstrumentationScope {
        name: fields.text(&["name"])?,
        version: fields.text(&["version"])?,
        attributes: fields.attributes()?,
        dropped_attributes_count: dropped_attributes(&mut fields)?,
    })
}

fn event(mut fields: Fields) -> Result<Event, Fault> {
    Ok(Event {
        time_unix_nano: fields.integer(&["timeUnixNano", "time_unix_nano"])?,
        name: fields.text(&["name"])?,
        attributes: fields.attributes()?,
        dropped_attributes_count: dropped_attributes(&mut fields)?,
    })
}

/// A link to an ID that can't be read is kept for its attributes, without the ID.
fn link(mut fields: Fields) -> Result<Link, Fault> {
    Ok(Link {
        trace_id: fields
            .id::<TRACE_ID>(&["traceId", "trace_id"])
            .unwrap_or_default(),
        span_id: fields
            .id::<SPAN_ID>(&["spanId", "span_id"])
            .unwrap_or_default(),
        trace_state: fields.text(&["traceState", "trace_state"])?,
        attributes: fields.attributes()?,
        dropped_attributes_count: dropped_attributes(&mut fields)?,
        flags: fields.integer(&["flags"])?,
    })
}

fn dropped_attributes(fields: &mut Fields) -> Result<u32, Fault> {
    fields.integer(&["droppedAttributesCount", "dropped_attributes_count"])
}

/// `SpanKind` by number or by name, with or without its prefix; an unknown name is unspecified.
fn kind(value: Option<Value>) -> i32 {
    enumeration(
        value,
        "SPAN_KIND_",
        &["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"],
    )
}

fn status(value: Value) -> Result<Status, Fault> {
    let wanted = "an object with code and message";
    let mut fields = match value {
        Value::Object(map) => Fields(map),
        other => return Err(Fault::field("status", &other, wanted)),
    };
    Ok(Status {
        message: fields.text(&["message"])?,
        code: enumeration(fields.take(&["code"]), "STATUS_CODE_", &["OK", "ERROR"]),
    })
}

/// A number, or the place of a name in `names` counted from 1; zero for anything else.
fn enumeration(value: Option<Value>, prefix: &str, names: &[&str]) -> i32 {
    let Some(value) = value else { return 0 };
    if let Some(number) = integer(&value) {
        return number;
    }
    let name = value
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_uppercase();
    let name = name.strip_prefix(prefix).unwrap_or(&name);
    (1..)
        .zip(names)
        .find(|(_, known)| **known == name)
        .map_or(0, |(number, _)| number)
}
