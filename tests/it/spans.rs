//! Spans for tests, as programs would send them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use tracedesk::clock::{random_bytes, unix_ns};

/// A random trace ID, 32 hex digits.
pub(crate) fn new_trace_id() -> String {
    hex::encode(random_bytes::<16>())
}

/// A span of a second, started now; `parent` 0 is none.
pub(crate) fn span(trace_id: &str, id: u64, parent: u64, name: &str) -> Span {
    let start = unix_ns();
    Span {
        trace_id: hex::decode(trace_id).unwrap(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            parent.to_be_bytes().to_vec()
        },
        name: name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000_000,
        ..Span::default()
    }
}

/// The span, failed with an exception.
pub(crate) fn failed(mut span: Span, kind: &str, message: &str) -> Span {
    span.status = Some(Status {
        code: 2,
        message: message.to_owned(),
    });
    span.events.push(Event {
        time_unix_nano: span.end_time_unix_nano,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", kind),
            text("exception.message", message),
        ],
        ..Event::default()
    });
    span
}

/// The spans as one export of a service.
pub(crate) fn export(service: &str, spans: Vec<Span>) -> TracesData {
    TracesData {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", service)],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "test".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// A trace of a request that fails in the model's gateway: span 3 in `llm-gateway`, "model overloaded".
pub(crate) fn failing_trace(trace_id: &str) -> TracesData {
    let mut data = export(
        "api",
        vec![failed(
            span(trace_id, 1, 0, "POST /chat"),
            "ServerError",
            "no answer",
        )],
    );
    let mut call = failed(
        span(trace_id, 3, 1, "chat gpt-5"),
        "OverloadedError",
        "model overloaded",
    );
    call.kind = SpanKind::Client.into();
    call.attributes.push(text("gen_ai.system", "openai"));
    let gateway = export("llm-gateway", vec![call]);
    data.resource_spans.extend(gateway.resource_spans);
    data
}

/// A text attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// All spans of an export.
pub(crate) fn spans_of(data: &TracesData) -> Vec<Span> {
    data.resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect()
}
