//! Whatever spans are sent, what is read back is what was sent: properties of the way from the door to the answer,
//! without server and database.

use std::collections::{BTreeMap, HashMap};

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use tracedesk::failure_rule::FailureRules;
use tracedesk::ingest::json::to_protobuf;
use tracedesk::ingest::split::{Split, split};
use tracedesk::traces::assemble::RawTrace;
use tracedesk::traces::ids::TraceId;
use tracedesk::traces::json;
use tracedesk::traces::store::{StoredPart, StoredTrace};
use tracedesk::traces::waterfall::Waterfall;
use tracedesk::traces::wire::Fields;

/// Trace IDs to choose from, so that traces have several spans.
const TRACES: u8 = 3;
/// Span IDs to choose from, so that some come twice.
const SPANS: u64 = 40;

fn value() -> impl Strategy<Value = AnyValue> {
    use any_value::Value::{
        ArrayValue as Array, BoolValue, BytesValue, DoubleValue, IntValue, KvlistValue, StringValue,
    };
    let leaf = prop_oneof![
        any::<String>().prop_map(StringValue),
        any::<bool>().prop_map(BoolValue),
        any::<i64>().prop_map(IntValue),
        prop_oneof![
            any::<f64>(),
            Just(f64::INFINITY),
            Just(-0.0),
            Just(f64::NAN)
        ]
        .prop_filter("NaN has many forms and JSON one", |x| {
            !x.is_nan() || x.to_bits() == f64::NAN.to_bits()
        })
        .prop_map(DoubleValue),
        vec(any::<u8>(), 0..20).prop_map(BytesValue),
    ];
    let leaf = option::weighted(0.9, leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| AnyValue {
                value: Some(Array(ArrayValue { values })),
            }),
            vec((any::<String>(), inner), 0..4).prop_map(|entries| AnyValue {
                value: Some(KvlistValue(KeyValueList {
                    values: entries.into_iter().map(key_value).collect(),
                })),
            }),
        ]
    })
}

fn key_value((key, value): (String, AnyValue)) -> KeyValue {
    KeyValue {
        key,
        value: Some(value),
        ..KeyValue::default()
    }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let keys = prop_oneof![
        any::<String>(),
        proptest::sample::select(vec![
            "http.response.status_code",
            "error",
            "error.type",
            "exception.message",
            "gen_ai.system",
            "url.full",
            "enduser.id",
            "service.name",
        ])
        .prop_map(str::to_owned),
    ];
    vec((keys, value()).prop_map(key_value), 0..4)
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![any::<String>(), Just("exception".to_owned())];
    (any::<u64>(), name, attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (
        any::<[u8; 16]>(),
        any::<[u8; 8]>(),
        any::<String>(),
        attributes(),
        any::<u32>(),
    )
        .prop_map(|(trace_id, span_id, trace_state, attributes, flags)| Link {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            trace_state,
            attributes,
            flags,
            ..Link::default()
        })
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (1..=TRACES, 1..=SPANS, option::of(1..=SPANS));
    let words = (any::<String>(), any::<String>(), 0..=5_i32);
    let times = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..2));
    let status = option::of((any::<String>(), 1..=2_i32));
    (ids, words, times, lists, status).prop_map(
        |(ids, (name, trace_state, kind), times, (attributes, events, links), status)| Span {
            trace_id: vec![ids.0; 16],
            span_id: ids.1.to_be_bytes().to_vec(),
            parent_span_id: ids
                .2
                .map(|id| id.to_be_bytes().to_vec())
                .unwrap_or_default(),
            name,
            trace_state,
            kind,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            flags: times.2,
            dropped_attributes_count: times.3,
            attributes,
            events,
            links,
            status: status.map(|(message, code)| Status { message, code }),
            ..Span::default()
        },
    )
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope =
        (any::<String>(), any::<String>(), attributes()).prop_map(|(name, version, attributes)| {
            InstrumentationScope {
                name,
                version,
                attributes,
                ..InstrumentationScope::default()
            }
        });
    let schema = prop_oneof![Just(String::new()), any::<String>()];
    (option::of(scope), vec(span(), 0..5), schema).prop_map(|(scope, spans, schema_url)| {
        ScopeSpans {
            scope,
            spans,
            schema_url,
        }
    })
}

fn traces() -> impl Strategy<Value = TracesData> {
    let resource = attributes().prop_map(|attributes| Resource {
        attributes,
        ..Resource::default()
    });
    let schema = prop_oneof![Just(String::new()), any::<String>()];
    let resource_spans = (option::of(resource), vec(scope_spans(), 0..3), schema).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        },
    );
    vec(resource_spans, 0..4).prop_map(|resource_spans| TracesData { resource_spans })
}

/// A span with all that it came under, encoded.
type Whole = (Vec<u8>, Vec<u8>, String, Vec<u8>, String);

/// The spans of each trace, of those with the same ID the first.
fn whole(data: &TracesData) -> HashMap<Vec<u8>, BTreeMap<Vec<u8>, Whole>> {
    let mut all: HashMap<_, BTreeMap<_, _>> = HashMap::new();
    for resource in &data.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let described = (
                    span.encode_to_vec(),
                    scope.scope.clone().unwrap_or_default().encode_to_vec(),
                    scope.schema_url.clone(),
                    resource
                        .resource
                        .clone()
                        .unwrap_or_default()
                        .encode_to_vec(),
                    resource.schema_url.clone(),
                );
                let trace: &mut BTreeMap<_, _> = all.entry(span.trace_id.clone()).or_default();
                trace.entry(span.span_id.clone()).or_insert(described);
            }
        }
    }
    all
}

/// The kept traces, as if read from the database.
fn kept(split: Split) -> Vec<RawTrace> {
    let mut parts: HashMap<TraceId, Vec<StoredPart>> = HashMap::new();
    for part in split.parts {
        parts.entry(part.trace_id).or_default().push(StoredPart {
            part_id: part.part_id,
            raw_bytes: part.raw_bytes,
            payload: part.payload,
        });
    }
    let unpack = |(id, parts)| {
        let is_truncated = false;
        RawTrace::unpack(
            id,
            &StoredTrace {
                parts,
                is_truncated,
            },
        )
        .unwrap()
    };
    parts.into_iter().map(unpack).collect()
}

fn count(data: &TracesData) -> usize {
    let scopes = data
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_read_back_is_what_was_sent(sent in traces()) {
        let split = split(&sent.encode_to_vec(), &FailureRules::default()).unwrap();
        prop_assert_eq!(split.accepted, count(&sent));
        prop_assert_eq!(split.rejected, 0);
        let mut expected = whole(&sent);
        for trace in kept(split) {
            let expected = expected.remove(&trace.id.as_bytes()[..]).unwrap();
            let read = TracesData::decode(&*trace.protobuf().unwrap()).unwrap();
            prop_assert_eq!(count(&read), expected.len(), "each once");
            prop_assert_eq!(whole(&read).into_values().next(), Some(expected.clone()));

            let converted = to_protobuf(&json::write(&trace).unwrap()).unwrap();
            prop_assert_eq!(converted.rejected, 0, "{:?}", converted.first_reason);
            let read = TracesData::decode(&*converted.request).unwrap();
            prop_assert_eq!(whole(&read).into_values().next(), Some(expected.clone()));

            let assembled = trace.assemble().unwrap();
            prop_assert_eq!(assembled.spans.len(), expected.len());
            let failing = trace.failure(&FailureRules::default()).unwrap().map(|failure| failure.span_id);
            let waterfall = Waterfall::build(&assembled, failing);
            prop_assert_eq!(waterfall.rows.len(), expected.len());
            prop_assert_eq!(waterfall.failing.is_some(), failing.is_some());
        }
        prop_assert!(expected.is_empty());
    }

    #[test]
    fn bad_ids_cost_only_their_own_spans(
        mut sent in traces(),
        bad in vec((span(), 0..5_usize), 0..4),
    ) {
        let good = count(&sent);
        let expected = whole(&sent);
        let bad: Vec<Span> = bad.into_iter().map(|(mut span, how)| {
            match how {
                0 => span.trace_id = vec![0; 16],
                1 => span.trace_id.truncate(8),
                2 => span.span_id = vec![0; 8],
                3 => span.span_id.clear(),
                _ => span.parent_span_id = vec![1; 3],
            }
            span
        }).collect();
        let bad_count = bad.len();
        let scope_spans = vec![ScopeSpans { spans: bad, ..ScopeSpans::default() }];
        sent.resource_spans.insert(0, ResourceSpans { scope_spans, ..ResourceSpans::default() });
        let split = split(&sent.encode_to_vec(), &FailureRules::default()).unwrap();
        prop_assert_eq!(split.accepted, good);
        prop_assert_eq!(split.rejected, bad_count as u64);
        prop_assert_eq!(split.first_reason.is_some(), bad_count > 0);
        prop_assert_eq!(kept(split).len(), expected.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _outcome = (Fields::new(&bytes).count(), split(&bytes, &FailureRules::default()).is_ok(), to_protobuf(&bytes).is_ok());
        let trace = RawTrace { id: TraceId::from_hex("1").unwrap(), parts: vec![bytes], is_truncated: false };
        let _outcome = (trace.protobuf().is_ok(), trace.assemble().is_ok(), trace.failure(&FailureRules::default()).is_ok(),
            json::write(&trace).is_ok());
    }

    #[test]
    fn no_damage_makes_it_panic(sent in traces(), flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = sent.encode_to_vec();
        for (at, byte) in flips.into_iter().filter(|_| !sent.resource_spans.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(split) = split(&bytes, &FailureRules::default()) {
            for trace in kept(split) {
                // What the door took can be read in every way.
                let assembled = trace.assemble().unwrap();
                let failure = trace.failure(&FailureRules::default()).unwrap();
                let _waterfall = Waterfall::build(&assembled, failure.map(|failure| failure.span_id));
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&json::write(&trace).unwrap()).is_ok());
                let decoded = TracesData::decode(&*trace.protobuf().unwrap());
                prop_assert!(decoded.is_ok(), "{decoded:?}");
            }
        }
    }

    #[test]
    fn no_text_makes_the_json_door_panic(text in "[\\[\\]{}\":,0-9a-zA-Z\\\\ ]{0,120}") {
        let _outcome = to_protobuf(text.as_bytes());
        let nested = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{text}]}}]}}]}}");
        let _outcome = to_protobuf(nested.as_bytes());
    }
}
