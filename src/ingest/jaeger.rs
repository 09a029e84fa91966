//! Traces as the Jaeger UI downloads them, turned into OTLP protobuf.
//!
//! Jaeger's JSON puts the spans of a trace in one list and names the process of each; OTLP groups spans by resource
//! and scope, so the spans are gathered by both.

mod span;

use std::collections::{BTreeMap, HashMap};

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::encoding::message;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::MAX_SPANS_PER_REQUEST;
use super::json::frame::{Frame, RESOURCE_SPANS, SCOPE_SPANS, SPANS, Tally};
use super::json::value::{Fault, Fields};
use super::json::walk::Document;
use super::json::{Converted, JsonError, Position};
use span::JaegerSpan;

/// Converts `{"data": [trace, ...]}`, a list of traces, or one trace (`{"traceID": ..., "spans": [...]}`).
///
/// # Errors
/// When the text is no JSON, none of these shapes, or holds more than [`MAX_SPANS_PER_REQUEST`] spans. A bad span is
/// no error: it is counted in [`Converted::rejected`].
pub fn to_protobuf(body: &[u8]) -> Result<Converted, JsonError> {
    to_protobuf_at(body, Position::START)
}

/// [`to_protobuf`] for a part of a file: errors and reasons name places in the file.
pub(in crate::ingest) fn to_protobuf_at(
    body: &[u8],
    base: Position,
) -> Result<Converted, JsonError> {
    let document = Document::new(body, base)?;
    let mut out = Vec::new();
    let mut tally = Tally::default();
    for raw in traces(&document, document.root()?)? {
        let trace: TraceJson = document.object(raw, "A trace")?;
        let mut groups = Groups::new(&document, &trace)?;
        for raw in document.items(trace.spans, "spans", MAX_SPANS_PER_REQUEST)? {
            tally.count()?;
            if let Err(fault) = groups.add(raw) {
                let at = document.position(raw);
                tally.reject(|| format!("The span at {at} was not taken, because it {fault}."));
            }
        }
        groups.write(&mut out);
    }
    Ok(tally.into_converted(out))
}

/// The traces in any of the three shapes.
fn traces<'a>(document: &Document<'a>, root: &'a RawValue) -> Result<Vec<&'a RawValue>, JsonError> {
    if root.get().starts_with('[') {
        return document.items(Some(root), "traces", MAX_SPANS_PER_REQUEST);
    }
    let file: FileJson = document.object(root, "The file")?;
    match (file.data, file.spans) {
        (Some(data), _) => document.items(Some(data), "data", MAX_SPANS_PER_REQUEST),
        (None, Some(_)) => Ok(vec![root]),
        (None, None) => Err(JsonError::OtherFormat {
            key: "data",
            format: "a trace of Jaeger",
        }),
    }
}

#[derive(Deserialize)]
struct FileJson<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spans: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TraceJson<'a> {
    #[serde(borrow, default, rename = "traceID", alias = "traceId")]
    trace_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spans: Option<&'a RawValue>,
    #[serde(borrow, default)]
    processes: Option<&'a RawValue>,
}

/// The spans of one trace, by process and scope. A resource is written once, however many scopes it has: a hostile
/// file would multiply it otherwise.
struct Groups {
    /// What spans without an own trace ID belong to.
    trace_id: String,
    processes: HashMap<String, Resource>,
    by_process: BTreeMap<String, Group>,
}

struct Group {
    resource: Resource,
    /// Encoded `spans` fields by the scope's name and version.
    by_scope: BTreeMap<(String, String), Vec<u8>>,
}

impl Groups {
    fn new(document: &Document<'_>, trace: &TraceJson<'_>) -> Result<Self, JsonError> {
        let trace_id = trace
            .trace_id
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        Ok(Self {
            trace_id: trace_id.unwrap_or_default(),
            processes: processes(document, trace.processes)?,
            by_process: BTreeMap::new(),
        })
    }

    fn add(&mut self, raw: &RawValue) -> Result<(), Fault> {
        let JaegerSpan {
            span,
            scope,
            process,
        } = span::span(Fields::parse(raw)?, &self.trace_id)?;
        let group = self
            .by_process
            .entry(process.key().to_owned())
            .or_insert_with(|| Group {
                resource: process.into_resource(&mut self.processes),
                by_scope: BTreeMap::new(),
            });
        let spans = group
            .by_scope
            .entry((scope.name, scope.version))
            .or_default();
        message::encode(SPANS, &span, spans);
        Ok(())
    }

    fn write(self, out: &mut Vec<u8>) {
        let no_url = String::new();
        for group in self.by_process.into_values() {
            let resource_spans = Frame::open(out, Some(&group.resource));
            for ((name, version), spans) in group.by_scope {
                let scope = InstrumentationScope {
                    name,
                    version,
                    ..InstrumentationScope::default()
                };
                let scope_spans = Frame::open(out, Some(&scope));
                out.extend_from_slice(&spans);
                scope_spans.close(out, SCOPE_SPANS, &no_url);
            }
            resource_spans.close(out, RESOURCE_SPANS, &no_url);
        }
    }
}

fn processes(
    document: &Document<'_>,
    raw: Option<&RawValue>,
) -> Result<HashMap<String, Resource>, JsonError> {
    let Some(raw) = raw else {
        return Ok(HashMap::new());
    };
    let fields = Fields::parse(raw).map_err(|fault| JsonError::Processes {
        at: document.position(raw),
        reason: fault.to_string(),
    })?;
    let entries = fields.0.into_iter().filter_map(|(id, process)| {
        let resource = span::resource(Fields::from_value(process)?);
        Some((id, resource))
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
    use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
    use prost::Message;
    use serde_json::{Value, json};

    fn convert(body: &Value) -> TracesData {
        let converted = to_protobuf(body.to_string().as_bytes()).unwrap();
        assert_eq!(converted.first_reason, None);
        TracesData::decode(converted.request.as_slice()).unwrap()
    }

    fn spans(data: &TracesData) -> Vec<&Span> {
        let resources = data.resource_spans.iter();
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans).collect()
    }

    fn read_span(fields: &Value) -> Span {
        let mut span = json!({"traceID": "1f", "spanID": "2", "startTime": 10, "duration": 5});
        for (key, value) in fields.as_object().unwrap() {
            span[key] = value.clone();
        }
        spans(&convert(&json!({"spans": [span]})))[0].clone()
    }

    fn tag(key: &str, value: &Value) -> Value {
        json!({"key": key, "value": value})
    }

    fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a OtlpValue> {
        let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
        attribute.value.as_ref()?.value.as_ref()
    }

    #[test]
    fn all_shapes_of_a_file_are_read() {
        let trace = json!({"traceID": "1f", "spans": [{"spanID": "2", "processID": "p1"}],
            "processes": {"p1": {"serviceName": "s", "tags": [tag("host", &json!("h"))]}}});
        let expected = convert(&trace);
        assert_eq!(convert(&json!({"data": [trace], "errors": null})), expected);
        assert_eq!(convert(&json!([trace])), expected);
        let inline = json!({"spans": [{"traceID": "1f", "spanID": "2",
            "process": {"serviceName": "s", "tags": [tag("host", &json!("h"))]}}]});
        assert_eq!(convert(&inline), expected);
        let resource = expected.resource_spans[0].resource.as_ref().unwrap();
        let name = OtlpValue::StringValue("s".into());
        assert_eq!(find(&resource.attributes, "service.name"), Some(&name));
        assert_eq!(
            hex::encode(&spans(&expected)[0].trace_id),
            format!("{:032x}", 0x1f)
        );
    }

    #[test]
    fn spans_are_grouped_by_process_and_scope() {
        let span = |id: &str, process: &str, scope: &str| json!({"spanID": id, "processID": process, "tags": [tag("otel.library.name", &json!(scope))]});
        let data = convert(
            &json!({"traceID": "1f", "processes": {"a": {"serviceName": "x"}, "b": {}},
            "spans": [span("1", "a", "m"), span("2", "b", "m"), span("3", "a", "n"), span("4", "a", "m"),
                span("5", "missing", "m")]}),
        );
        assert_eq!(data.resource_spans.len(), 3);
        let scopes = &data.resource_spans[0].scope_spans;
        assert_eq!(scopes[0].scope.as_ref().unwrap().name, "m");
        assert_eq!((scopes[0].spans.len(), scopes[1].spans.len()), (2, 1));
    }

    #[test]
    fn the_parent_is_the_first_reference_inside_the_trace() {
        let reference = |kind: &str, trace: &str, span: &str| json!({"refType": kind, "traceID": trace, "spanID": span});
        let elsewhere = reference("CHILD_OF", "ff", "9");
        let follows = reference("FOLLOWS_FROM", "1f", "8");
        let child = reference("CHILD_OF", "1f", "7");
        for (references, parent, links) in [
            (json!([elsewhere, follows, child]), 7, 2),
            (json!([elsewhere, follows]), 8, 1),
            (json!([elsewhere]), 0, 1),
            (json!(null), 0, 0),
        ] {
            let span = read_span(&json!({"references": references}));
            let found = span.parent_span_id.last().copied().unwrap_or_default();
            assert_eq!((found, span.links.len()), (parent, links), "{references}");
        }
        assert_eq!(
            read_span(&json!({"parentSpanID": "6"})).parent_span_id,
            [0, 0, 0, 0, 0, 0, 0, 6]
        );
    }

    #[test]
    fn times_are_microseconds() {
        let span = read_span(&json!({"startTime": 1_485_467_191_639_875_u64, "duration": "5"}));
        assert_eq!(span.start_time_unix_nano, 1_485_467_191_639_875_000);
        assert_eq!(span.end_time_unix_nano, 1_485_467_191_639_880_000);
    }

    #[test]
    fn tags_keep_their_types() {
        let typed = |kind: &str, value: Value| json!({"key": "k", "type": kind, "value": value});
        for (tag, value) in [
            (
                typed("string", json!("a")),
                OtlpValue::StringValue("a".into()),
            ),
            (typed("bool", json!("true")), OtlpValue::BoolValue(true)),
            (
                typed("int64", json!("9223372036854775222")),
                OtlpValue::IntValue(9_223_372_036_854_775_222),
            ),
            (typed("float64", json!(72.5)), OtlpValue::DoubleValue(72.5)),
            (
                typed("binary", json!("AAAwOQ==")),
                OtlpValue::BytesValue(vec![0, 0, 48, 57]),
            ),
            (
                typed("int64", json!("many")),
                OtlpValue::StringValue("many".into()),
            ),
            (tag("k", &json!(3)), OtlpValue::IntValue(3)),
            (
                tag("k", &json!({"a": 1})),
                OtlpValue::StringValue("{\"a\":1}".into()),
            ),
        ] {
            let span = read_span(&json!({"tags": [tag]}));
            assert_eq!(find(&span.attributes, "k"), Some(&value), "{tag}");
        }
    }

    #[test]
    fn tags_of_the_translation_become_fields_again() {
        let span = read_span(&json!({"warnings": ["clock skew"], "tags": [
            tag("span.kind", &json!("server")), tag("otel.status_code", &json!("ERROR")),
            tag("otel.status_description", &json!("boom")), tag("error", &json!(true)),
            tag("internal.span.format", &json!("otlp")), tag("w3c.tracestate", &json!("a=b"))]}));
        assert_eq!((span.kind, span.trace_state.as_str()), (2, "a=b"));
        let status = span.status.unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "boom"));
        assert_eq!(span.attributes.len(), 1);
        assert!(find(&span.attributes, "jaeger.warnings").is_some());
    }

    #[test]
    fn an_error_tag_is_a_status() {
        for (error, code, message) in [
            (json!(true), Some(2), ""),
            (json!("true"), Some(2), ""),
            (json!("timed out"), Some(2), "timed out"),
            (json!(false), None, ""),
            (json!("false"), None, ""),
        ] {
            let status = read_span(&json!({"tags": [tag("error", &error)]})).status;
            assert_eq!(status.as_ref().map(|status| status.code), code, "{error}");
            assert_eq!(status.unwrap_or_default().message, message);
        }
    }

    #[test]
    fn logs_become_events() {
        let log = |fields: Value| json!({"logs": [{"timestamp": 7, "fields": fields}]});
        let event = |fields| read_span(&log(fields)).events[0].clone();
        let named = event(json!([tag("event", &json!("retry")), tag("n", &json!(1))]));
        assert_eq!((named.name.as_str(), named.time_unix_nano), ("retry", 7000));
        assert_eq!(named.attributes.len(), 1);
        assert_eq!(event(json!([tag("message", &json!("m"))])).name, "log");
        let old = event(json!([
            tag("event", &json!("error")),
            tag("error.kind", &json!("E")),
            tag("message", &json!("m")),
            tag("stack", &json!("s"))
        ]));
        let new = event(json!([
            tag("event", &json!("exception")),
            tag("exception.type", &json!("E")),
            tag("exception.message", &json!("m")),
            tag("exception.stacktrace", &json!("s"))
        ]));
        assert_eq!(old, new);
    }

    #[test]
    fn bad_spans_are_counted_and_other_json_refused() {
        let body = json!({"data": [{"traceID": "1", "spans": [{"spanID": "x"}, {"spanID": "0123456789abcdef0"}, 4,
            {"spanID": "1"}]}]});
        let converted = to_protobuf(body.to_string().as_bytes()).unwrap();
        assert_eq!(converted.rejected, 3);
        assert!(
            converted
                .first_reason
                .unwrap()
                .contains("has a spanID of \"x\"")
        );
        let error = to_protobuf(b"{\"a\":1}").unwrap_err();
        assert!(matches!(error, JsonError::OtherFormat { .. }), "{error}");
        let error = to_protobuf(b"{\"spans\":[],\"processes\":[]}").unwrap_err();
        assert!(matches!(error, JsonError::Processes { .. }), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_json_never_panics(body in r#"\{"data":\[\{"spans":\[([\[\]{}:,0-9"\\u]|"traceID":|"tags":|null){0,20}(\]\}\]\})?"#) {
            let _ = to_protobuf(body.as_bytes());
        }
    }
}
