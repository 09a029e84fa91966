//! Spans as a chat over documents makes them: five services, HTTP, database and model calls, some of them failing.
//! Seeded, so that every run sends the same.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use tracedesk::clock::unix_ns;

/// Spans of a trace.
pub const SPANS_PER_TRACE: usize = 50;
/// Traces of an export.
pub const TRACES_PER_EXPORT: usize = 20;
/// Spans of an export.
pub const SPANS_PER_EXPORT: usize = SPANS_PER_TRACE * TRACES_PER_EXPORT;
/// The one seed of a run.
const SEED: u64 = 0x7d_2026;
/// One trace in this many fails.
const FAILING_ONE_IN: u32 = 30;

/// The services a request passes, each with a tenth of a second or less of work of its own.
pub const SERVICES: [&str; 5] = [
    "gateway",
    "chat-api",
    "retrieval",
    "model-gateway",
    "document-worker",
];

/// A span before it is encoded, in OTLP or as a row.
pub struct Draft {
    /// Index in [`SERVICES`].
    pub service: usize,
    /// Which trace of the export.
    pub trace: usize,
    /// Itself. IDs are random and overwritten at each sending.
    pub span: Span,
}

/// The spans of export number `number`, by trace.
pub fn export(number: u64) -> Vec<Draft> {
    let mut rng = StdRng::seed_from_u64(SEED ^ number);
    (0..TRACES_PER_EXPORT)
        .flat_map(|trace| one_trace(&mut rng, trace))
        .collect()
}

fn one_trace(rng: &mut StdRng, trace: usize) -> Vec<Draft> {
    let trace_id = bytes::<16>(rng);
    // Within the ten minutes before this run.
    let began = unix_ns() - rng.random_range(0..600_000_000_000_u64);
    let failing = (rng.random_range(0..FAILING_ONE_IN) == 0).then_some(SPANS_PER_TRACE - 1);
    let mut drafts: Vec<Draft> = Vec::with_capacity(SPANS_PER_TRACE);
    for index in 0..SPANS_PER_TRACE {
        // Ten spans a service; each service is called by the one before it.
        let service = index * SERVICES.len() / SPANS_PER_TRACE;
        let is_entry = index % (SPANS_PER_TRACE / SERVICES.len()) == 0;
        let above = index.checked_sub(if is_entry { 3 } else { 1 + index % 3 });
        let parent = above.and_then(|above| drafts.get(above));
        let start = parent.map_or(began, |parent| parent.span.start_time_unix_nano)
            + rng.random_range(20_000..9_000_000_u64);
        let (name, kind, mut attributes) = operation(rng, index, is_entry);
        attributes.extend([
            number("thread.id", i64::from(rng.random_range(1..64_u8))),
            text("code.file.path", "/srv/app/pipeline/stages.py"),
        ]);
        let mut span = Span {
            trace_id: trace_id.clone(),
            span_id: bytes::<8>(rng),
            parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span.span_id.clone()),
            name: name.to_owned(),
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: start + rng.random_range(50_000..800_000_000_u64),
            attributes,
            flags: 257,
            ..Span::default()
        };
        if failing == Some(index) {
            fail(&mut span);
        }
        drafts.push(Draft {
            service,
            trace,
            span,
        });
    }
    drafts
}

fn operation(rng: &mut StdRng, index: usize, is_entry: bool) -> (&'static str, i32, Vec<KeyValue>) {
    if is_entry {
        return ("POST /v2/conversations/{id}/messages", 2, http(rng, true));
    }
    match index % 5 {
        0 => ("chat gpt-4.1", 3, model(rng)),
        1 => ("SELECT documents", 3, database(rng)),
        2 => ("POST", 3, http(rng, false)),
        3 => ("rerank_passages", 1, internal(rng)),
        _ => ("cache.get", 3, cache(rng)),
    }
}

fn http(rng: &mut StdRng, is_server: bool) -> Vec<KeyValue> {
    let conversation = hex(rng, 8);
    let mut attributes = vec![
        text("http.request.method", "POST"),
        number("http.response.status_code", 200),
        text("url.scheme", "https"),
        text("server.address", "api.internal.example.com"),
        text("network.protocol.version", "1.1"),
    ];
    if is_server {
        attributes.extend([
            text("http.route", "/v2/conversations/{id}/messages"),
            text(
                "url.path",
                &format!("/v2/conversations/{conversation}/messages"),
            ),
            text(
                "client.address",
                &format!("10.2.{}.{}", rng.random::<u8>(), rng.random::<u8>()),
            ),
        ]);
    } else {
        let url = format!("https://api.internal.example.com/v2/passages/{conversation}");
        attributes.push(text("url.full", &url));
    }
    attributes
}

fn database(rng: &mut StdRng) -> Vec<KeyValue> {
    vec![
        text("db.system.name", "postgresql"),
        text("db.namespace", "documents"),
        text("db.operation.name", "SELECT"),
        text(
            "db.query.text",
            "SELECT id, title, page_count FROM documents WHERE owner_id = $1 AND state = $2 ORDER BY id DESC LIMIT 20",
        ),
        number(
            "db.response.returned_rows",
            i64::from(rng.random_range(0..20_u8)),
        ),
        text("server.address", "pg-3.internal.example.com"),
    ]
}

fn model(rng: &mut StdRng) -> Vec<KeyValue> {
    vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", "openai"),
        text("gen_ai.request.model", "gpt-4.1"),
        text("gen_ai.response.id", &format!("chatcmpl-{}", hex(rng, 14))),
        number(
            "gen_ai.usage.input_tokens",
            i64::from(rng.random_range(200..90_000_u32)),
        ),
        number(
            "gen_ai.usage.output_tokens",
            i64::from(rng.random_range(5..4_000_u32)),
        ),
        text("server.address", "api.openai.com"),
    ]
}

fn internal(rng: &mut StdRng) -> Vec<KeyValue> {
    vec![
        text("code.function.name", "retrieval.rank.rerank_passages"),
        text("document.id", &hex(rng, 16)),
        number(
            "retrieval.passage_count",
            i64::from(rng.random_range(1..50_u8)),
        ),
    ]
}

fn cache(rng: &mut StdRng) -> Vec<KeyValue> {
    vec![
        text("db.system.name", "redis"),
        text("db.operation.name", "GET"),
        text("db.query.text", &format!("GET session:{}", hex(rng, 12))),
        text("server.address", "redis-1.internal.example.com"),
    ]
}

fn fail(span: &mut Span) {
    span.status = Some(Status {
        code: 2,
        message: "upstream connect error".to_owned(),
    });
    span.events.push(Event {
        time_unix_nano: span.end_time_unix_nano,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "httpx.ConnectTimeout"),
            text("exception.message", "timed out while connecting to api.openai.com"),
            text(
                "exception.stacktrace",
                "Traceback (most recent call last):\n  File \"app/model.py\", line 88, in complete\n    raise ConnectTimeout",
            ),
        ],
        dropped_attributes_count: 0,
    });
}

/// The drafts as one request of OTLP: a resource for each service, as a collector groups them.
pub fn to_otlp(drafts: &[Draft]) -> ExportTraceServiceRequest {
    let resource_spans = SERVICES
        .iter()
        .enumerate()
        .map(|(service, name)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", name),
                    text("service.version", "2026.11.3"),
                    text("deployment.environment.name", "production"),
                    text("telemetry.sdk.language", "python"),
                    text("telemetry.sdk.version", "1.38.0"),
                    text("host.name", &format!("{name}-7c9d8f6b5-x2x7k")),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "opentelemetry.instrumentation.asgi".to_owned(),
                    version: "0.59b0".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: drafts
                    .iter()
                    .filter(|draft| draft.service == service)
                    .map(|draft| draft.span.clone())
                    .collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

/// The span's attributes as a JSON object, as a table of spans would keep them.
pub fn to_json(span: &Span) -> String {
    let map: serde_json::Map<String, serde_json::Value> = span
        .attributes
        .iter()
        .map(|entry| {
            let value = match entry.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(any_value::Value::StringValue(text)) => text.as_str().into(),
                Some(any_value::Value::IntValue(number)) => (*number).into(),
                _ => serde_json::Value::Null,
            };
            (entry.key.clone(), value)
        })
        .collect();
    serde_json::Value::Object(map).to_string()
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn bytes<const N: usize>(rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn hex(rng: &mut StdRng, count: usize) -> String {
    let mut bytes = vec![0; count];
    rng.fill_bytes(&mut bytes);
    hex::encode(bytes)
}
