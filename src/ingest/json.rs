//! OTLP JSON read leniently into OTLP protobuf, so that everything behind this door knows one encoding.
//!
//! The text is walked level by level (`walk`) and one span at a time is built in memory (`value`, `span`): a
//! hostile body costs its own size and the messages made from it, no more. What is accepted beyond the specification's
//! JSON mapping is what senders were seen to write: `snake_case` keys, names for enums, IDs in base64, `null`
//! anywhere, whole floats for integers, the field names from before 2022.

pub(in crate::ingest) mod frame;
mod span;
mod text;
pub(in crate::ingest) mod value;
pub(in crate::ingest) mod walk;

use prost::encoding::message;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::MAX_SPANS_PER_REQUEST;
use frame::{Frame, RESOURCE_SPANS, SCOPE_SPANS, SPANS, Tally};
use value::{Fault, Fields};
use walk::{Document, present};
pub use walk::{JsonError, Position};

/// What a JSON text held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Converted {
    /// An encoded `ExportTraceServiceRequest`, which is also a `TracesData`: field 1 is `resource_spans`.
    pub request: Vec<u8>,
    /// Spans that could not be read and are not in the request.
    pub rejected: u64,
    /// Why the first of them was rejected, and where it stands.
    pub first_reason: Option<String>,
}

/// Converts an `ExportTraceServiceRequest` in OTLP's JSON encoding. An object without any key is an empty request.
///
/// # Errors
/// When the text is no JSON, no object with `resourceSpans`, has another shape above its spans than OTLP's, or holds
/// more than [`MAX_SPANS_PER_REQUEST`] spans. A bad span is no error: it is counted in [`Converted::rejected`].
pub fn to_protobuf(body: &[u8]) -> Result<Converted, JsonError> {
    to_protobuf_at(body, Position::START)
}

/// [`to_protobuf`] for a part of a file: errors and reasons name places in the file.
pub(in crate::ingest) fn to_protobuf_at(
    body: &[u8],
    base: Position,
) -> Result<Converted, JsonError> {
    let document = Document::new(body, base)?;
    let root = document.root()?;
    let request: RequestJson = document.object(root, "The request")?;
    let list = request.resource_spans;
    if list.is_none() && !is_empty_object(root) {
        return Err(JsonError::OtherFormat {
            key: "resourceSpans",
            format: "OTLP",
        });
    }
    let mut conversion = Conversion {
        document: &document,
        out: Vec::new(),
        tally: Tally::default(),
    };
    for raw in document.items(list, "resourceSpans", MAX_SPANS_PER_REQUEST)? {
        conversion.resource_spans(raw)?;
    }
    Ok(conversion.tally.into_converted(conversion.out))
}

fn is_empty_object(root: &RawValue) -> bool {
    let inner = root.get().trim_matches(['{', '}']);
    inner.trim().is_empty()
}

#[derive(Deserialize)]
struct RequestJson<'a> {
    #[serde(borrow, default, alias = "resource_spans", rename = "resourceSpans")]
    #[serde(deserialize_with = "present")]
    resource_spans: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpansJson<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "scope_spans")]
    scope_spans: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "instrumentation_library_spans")]
    instrumentation_library_spans: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "schema_url")]
    schema_url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpansJson<'a> {
    #[serde(borrow, default, alias = "instrumentation_library")]
    #[serde(alias = "instrumentationLibrary")]
    scope: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spans: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "schema_url")]
    schema_url: Option<&'a RawValue>,
}

/// The request as it grows, and what was left out of it.
struct Conversion<'a> {
    document: &'a Document<'a>,
    out: Vec<u8>,
    tally: Tally,
}

impl<'a> Conversion<'a> {
    /// Writes one `ResourceSpans`, unless no span in it is good.
    fn resource_spans(&mut self, raw: &'a RawValue) -> Result<(), JsonError> {
        let json: ResourceSpansJson = self.document.object(raw, "An entry of resourceSpans")?;
        let resource = optional(json.resource, span::resource);
        let frame = Frame::open(&mut self.out, resource.as_ref().ok());
        for list in [json.scope_spans, json.instrumentation_library_spans] {
            let scopes = self
                .document
                .items(list, "scopeSpans", MAX_SPANS_PER_REQUEST)?;
            for raw in scopes {
                self.scope_spans(raw, resource.as_ref().err())?;
            }
        }
        frame.close(&mut self.out, RESOURCE_SPANS, &url(json.schema_url));
        Ok(())
    }

    /// Writes one `ScopeSpans`. Where the resource or the scope has a fault, its spans are rejected with it.
    fn scope_spans(&mut self, raw: &'a RawValue, fault: Option<&Fault>) -> Result<(), JsonError> {
        let json: ScopeSpansJson = self.document.object(raw, "An entry of scopeSpans")?;
        let scope = optional(json.scope, span::scope);
        let fault = fault.or(scope.as_ref().err());
        let spans = self
            .document
            .items(json.spans, "spans", MAX_SPANS_PER_REQUEST)?;
        let frame = Frame::open(&mut self.out, scope.as_ref().ok());
        for raw in spans {
            self.tally.count()?;
            match (fault, Fields::parse(raw).and_then(span::span)) {
                (None, Ok(span)) => message::encode(SPANS, &span, &mut self.out),
                (Some(fault), _) => self.reject(raw, "its resource or scope", fault),
                (None, Err(fault)) => self.reject(raw, "it", &fault),
            }
        }
        frame.close(&mut self.out, SCOPE_SPANS, &url(json.schema_url));
        Ok(())
    }

    fn reject(&mut self, raw: &RawValue, part: &str, fault: &Fault) {
        let document = self.document;
        self.tally.reject(|| {
            let at = document.position(raw);
            format!("The span at {at} was not taken, because {part} {fault}.")
        });
    }
}

fn optional<T: Default>(
    raw: Option<&RawValue>,
    read: impl FnOnce(Fields) -> Result<T, Fault>,
) -> Result<T, Fault> {
    match raw {
        None => Ok(T::default()),
        Some(raw) => Fields::parse(raw).and_then(read),
    }
}

/// A schema URL; one that is no text is dropped, as nothing depends on it.
fn url(raw: Option<&RawValue>) -> String {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
    use prost::Message;
    use serde_json::{Value, json};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn convert(body: &Value) -> (TracesData, Converted) {
        let converted = to_protobuf(body.to_string().as_bytes()).unwrap();
        let data = TracesData::decode(converted.request.as_slice()).unwrap();
        (data, converted)
    }

    fn with_spans(spans: &Value) -> Value {
        json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]})
    }

    fn spans(data: &TracesData) -> Vec<&Span> {
        let resources = data.resource_spans.iter();
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans).collect()
    }

    /// The span that comes of one JSON object, which may overwrite the fields of a plain one.
    fn read_span(fields: &Value) -> Result<Span, String> {
        let mut span = json!({"traceId": TRACE, "spanId": SPAN, "name": "n"});
        for (key, value) in fields.as_object().unwrap() {
            span[key] = value.clone();
        }
        let (data, converted) = convert(&with_spans(&json!([span])));
        match converted.first_reason {
            Some(reason) => Err(reason),
            None => Ok(spans(&data)[0].clone()),
        }
    }

    #[test]
    fn every_field_is_read_in_both_spellings() {
        let camel = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}],
                "droppedAttributesCount": 1},
            "scopeSpans": [{"scope": {"name": "lib", "version": "2", "attributes": []},
                "spans": [{"traceId": TRACE.to_uppercase(), "spanId": SPAN, "parentSpanId": "00000000000000ab",
                    "traceState": "a=b", "flags": 257, "name": "n", "kind": 2,
                    "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1_544_712_661_000_000_000_u64,
                    "attributes": [{"key": "k", "value": {"intValue": 5}}], "droppedAttributesCount": "2",
                    "events": [{"timeUnixNano": 5.0, "name": "e", "attributes": [], "droppedAttributesCount": 3}],
                    "droppedEventsCount": 4,
                    "links": [{"traceId": TRACE, "spanId": SPAN, "traceState": "c=d", "flags": 1,
                        "attributes": [], "droppedAttributesCount": 5}],
                    "droppedLinksCount": 6, "status": {"code": "STATUS_CODE_ERROR", "message": "m"}}],
                "schemaUrl": "u1"}],
            "schemaUrl": "u2"}]});
        let snake = camel
            .to_string()
            .replace("Spans\":", "_spans\":")
            .replace("Id\":", "_id\":")
            .replace("Url\":", "_url\":")
            .replace("parentSpan", "parent_span")
            .replace("State\":", "_state\":")
            .replace("TimeUnixNano", "_time_unix_nano")
            .replace("\"timeUnixNano", "\"time_unix_nano")
            .replace("AttributesCount", "_attributes_count")
            .replace("EventsCount", "_events_count")
            .replace("LinksCount", "_links_count")
            .replace("Value\":", "_value\":");
        let (data, converted) = convert(&camel);
        assert_eq!(convert(&serde_json::from_str(&snake).unwrap()).1, converted);
        assert_eq!(data.encode_to_vec(), converted.request);
        assert_fields(&data);
    }

    fn assert_fields(data: &TracesData) {
        let resource = &data.resource_spans[0];
        assert_eq!(resource.schema_url, "u2");
        assert_eq!(
            resource.resource.as_ref().unwrap().dropped_attributes_count,
            1
        );
        let scope = &resource.scope_spans[0];
        assert_eq!(scope.schema_url, "u1");
        assert_eq!(scope.scope.as_ref().unwrap().version, "2");
        let span = &scope.spans[0];
        assert_eq!(hex::encode(&span.trace_id), TRACE);
        assert_eq!(hex::encode(&span.span_id), SPAN);
        assert_eq!(span.parent_span_id, [0, 0, 0, 0, 0, 0, 0, 0xab]);
        assert_eq!((span.kind, span.flags), (2, 257));
        assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
        assert_eq!(span.end_time_unix_nano, 1_544_712_661_000_000_000);
        assert_eq!(span.events[0].time_unix_nano, 5);
        assert_eq!(span.links[0].trace_state, "c=d");
        let dropped = [
            span.dropped_attributes_count,
            span.events[0].dropped_attributes_count,
            span.dropped_events_count,
            span.links[0].dropped_attributes_count,
            span.dropped_links_count,
        ];
        assert_eq!(dropped, [2, 3, 4, 5, 6]);
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "m"));
    }

    #[test]
    fn oddities_of_senders_are_read() {
        for (fields, check) in [
            (
                json!({"kind": "SPAN_KIND_CLIENT"}),
                (|s| s.kind == 3) as fn(&Span) -> bool,
            ),
            (json!({"kind": "server"}), |s| s.kind == 2),
            (json!({"kind": "4"}), |s| s.kind == 4),
            (json!({"kind": "SPAN_KIND_NEW"}), |s| s.kind == 0),
            (json!({"kind": null, "name": null, "status": null}), |s| {
                s.status.is_none()
            }),
            (json!({"status": {}}), |s| {
                s.status.as_ref().is_some_and(|s| s.code == 0)
            }),
            (json!({"status": {"code": "Ok"}}), |s| {
                s.status.as_ref().unwrap().code == 1
            }),
            (
                json!({"attributes": null, "events": null, "links": null}),
                |s| s.events.is_empty(),
            ),
            (json!({"attributes": [null, 3, {}]}), |s| {
                s.attributes.len() == 1
            }),
            (json!({"parentSpanId": ""}), |s| s.parent_span_id.is_empty()),
            (json!({"parentSpanId": null}), |s| {
                s.parent_span_id.is_empty()
            }),
            (json!({"traceId": "S/kvNXezTaajzpKdDg5HNg=="}), |s| {
                hex::encode(&s.trace_id) == TRACE
            }),
            (json!({"spanId": "APBnqgupArc="}), |s| {
                hex::encode(&s.span_id) == SPAN
            }),
            (json!({"startTimeUnixNano": 1.5e18}), |s| {
                s.start_time_unix_nano == 1_500_000_000_000_000_000
            }),
            (json!({"links": [{"traceId": "?", "spanId": 4}]}), |s| {
                s.links[0].trace_id.is_empty()
            }),
            (json!({"spanId": "00"}), |s| s.span_id == [0]),
            (json!({"unknown": [[[{"a": 1}]]], "traceID": 5}), |s| {
                s.name == "n"
            }),
        ] {
            let span = read_span(&fields).unwrap();
            assert!(check(&span), "{fields}: {span:?}");
        }
    }

    #[test]
    fn bad_spans_are_counted_and_the_good_ones_kept() {
        for bad in [
            json!({"traceId": "xyz"}),
            json!({"traceId": 5}),
            json!({"spanId": "abc"}),
            json!({"parentSpanId": "no"}),
            json!({"startTimeUnixNano": -1}),
            json!({"endTimeUnixNano": "tomorrow"}),
            json!({"attributes": {"a": "b"}}),
            json!({"status": "OK"}),
            json!({"name": {}}),
        ] {
            let reason = read_span(&bad).unwrap_err();
            assert!(
                reason.starts_with("The span at line 1, column "),
                "{reason}"
            );
        }
        let good = json!({"traceId": TRACE, "spanId": SPAN});
        let (data, converted) = convert(&with_spans(&json!([good, 5, {"traceId": "xyz"}, good])));
        assert_eq!((spans(&data).len(), converted.rejected), (2, 2));
        assert!(
            converted
                .first_reason
                .unwrap()
                .contains("is not a JSON object")
        );
    }

    #[test]
    fn a_bad_resource_costs_only_its_own_spans() {
        let span = json!({"traceId": TRACE, "spanId": SPAN});
        let (data, converted) = convert(&json!({"resourceSpans": [
            {"resource": 5, "scopeSpans": [{"spans": [span, span]}]},
            {"scopeSpans": [{"scope": {"name": []}, "spans": [span]}, {"spans": [span]}]},
        ]}));
        assert_eq!((spans(&data).len(), converted.rejected), (1, 3));
    }

    #[test]
    fn names_from_before_2022_are_read() {
        let span = json!({"traceId": TRACE, "spanId": SPAN});
        let (data, _) = convert(&json!({"resourceSpans": [{"instrumentationLibrarySpans": [
            {"instrumentationLibrary": {"name": "old"}, "spans": [span]}]}]}));
        let scope = &data.resource_spans[0].scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, "old");
        assert_eq!(scope.spans.len(), 1);
    }

    #[test]
    fn empty_requests_are_fine_and_write_nothing() {
        for body in [
            "{}",
            " { } ",
            "\u{feff}{}",
            r#"{"resourceSpans":null}"#,
            r#"{"resourceSpans":[]}"#,
            r#"{"resourceSpans":[null,{}]}"#,
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":null},{"spans":[]}]}]}"#,
        ] {
            assert_eq!(
                to_protobuf(body.as_bytes()).unwrap(),
                Converted::default(),
                "{body}"
            );
        }
    }

    #[test]
    fn refusals_say_what_and_where() {
        for (body, words) in [
            (&b""[..], "not valid JSON at line 1, column 1"),
            (b"{\"resourceSpans\":\n [}", "line 2, column 3"),
            (b"{} {}", "trailing characters"),
            (b"[]", "must be an object"),
            (b"{\"logs\":[]}", "no \"resourceSpans\""),
            (
                b"{\"resourceSpans\":\n 5}",
                "resourceSpans at line 2, column 2 must be a list",
            ),
            (b"{\"resourceSpans\":[5]}", "column 19 must be an object"),
            (b"{\"a\":\n\"\xff\"}", "not UTF-8 at line 2, column 2"),
        ] {
            let error = to_protobuf(body).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn hostile_shapes_are_bounded() {
        let many = "{},".repeat(MAX_SPANS_PER_REQUEST) + "{}";
        for body in [
            format!("{{\"resourceSpans\":[{many}]}}"),
            format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{many}]}}]}}"),
            format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{many}]}}]}}]}}"),
        ] {
            let error = to_protobuf(body.as_bytes()).unwrap_err();
            assert!(matches!(error, JsonError::TooMany { .. }), "{error}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let body = format!(
            "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{deep}]}}]}}],\"x\":{deep}}}"
        );
        assert_eq!(to_protobuf(body.as_bytes()).unwrap().rejected, 1);
        let long = "a".repeat(value::MAX_PART_JSON_BYTES);
        let reason = read_span(&json!({"name": long})).unwrap_err();
        assert!(reason.contains("more than the 4194304 allowed"), "{reason}");
    }

    #[test]
    fn the_deepest_attributes_can_be_decoded() {
        let mut value = json!({"stringValue": "x"});
        for _ in 0..30 {
            value = json!({"kvlistValue": {"values": [{"key": "k", "value": value}]}});
        }
        read_span(&json!({"events": [{"attributes": [{"key": "k", "value": value}]}]})).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = to_protobuf(&body);
        }

        #[test]
        fn arbitrary_json_never_panics(body in r#"(\{"resourceSpans":\[\{"scopeSpans":\[\{"spans":\[)([\[\]{}:,0-9"\\u]|"traceId":|"attributes":|null){0,20}(\]\}\]\}\]\})?"#) {
            let _ = to_protobuf(body.as_bytes());
        }
    }
}
