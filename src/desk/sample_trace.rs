//! Traces for the tests of pages: a chat that fails at its provider, and one of any size.

use crate::traces::failure::{Failure, FailureClass};
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::trace::{
    AttributeValue, Resource, Span, SpanEvent, SpanKind, SpanLink, SpanStatus, Trace,
};
use SpanKind::{Client, Consumer, Internal, Producer, Server};

/// 25 November 2026, 10:31:04 UTC, in nanoseconds.
const START_NS: u64 = 1_795_602_664_000_000_000;
const MS: u64 = 1_000_000;

fn text(value: &str) -> AttributeValue {
    AttributeValue::String(value.to_owned())
}

fn attributes(pairs: &[(&str, AttributeValue)]) -> Vec<(String, AttributeValue)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn id(number: i64) -> SpanId {
    SpanId::from_i64(0x7e3a_9c00_0000_0000 + number).unwrap()
}

fn span((number, parent, resource, name, kind, at_us, took_us): Line) -> Span {
    let start_ns = START_NS + at_us * 1_000;
    Span {
        id: id(number),
        parent_id: parent.map(id),
        resource,
        scope: "opentelemetry.instrumentation.asgi 0.66b2".to_owned(),
        name: name.to_owned(),
        kind,
        start_ns,
        end_ns: start_ns + took_us * 1_000,
        status: SpanStatus::Unset,
        status_message: String::new(),
        attributes: attributes(&[
            ("thread.id", AttributeValue::Int(139_876)),
            ("code.function.name", text(name)),
        ]),
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn resource(service: &str, version: &str) -> Resource {
    Resource {
        service: service.to_owned(),
        attributes: attributes(&[
            ("service.name", text(service)),
            ("service.version", text(version)),
            ("deployment.environment.name", text("production")),
            ("host.name", text("ip-10-0-4-17")),
            ("telemetry.sdk.language", text("python")),
            ("telemetry.sdk.version", text("1.45.2")),
        ]),
    }
}

const STACK: &str = r#"Traceback (most recent call last):
  File "/srv/model_gateway/providers/base.py", line 212, in complete
    response = await self._send(request, timeout=self.timeout)
  File "/srv/model_gateway/providers/http.py", line 88, in _send
    raise ProviderOverloaded(response.status, body["error"]["message"])
model_gateway.errors.ProviderOverloaded: 529 overloaded_error: the model is temporarily overloaded"#;

/// Number, parent, resource, name, kind, start and duration in microseconds.
type Line = (i64, Option<i64>, usize, &'static str, SpanKind, u64, u64);

#[rustfmt::skip]
const CHAT: [Line; 24] = [
    (1, None, 0, "POST /chat/{conversation}/messages", Client, 0, 6_412_300),
    (2, Some(1), 1, "POST /api/chat/messages", Server, 4_100, 6_404_000),
    (3, Some(2), 1, "session.load", Internal, 4_800, 2_300),
    (4, Some(3), 1, "redis GET session", Client, 5_000, 1_900),
    (5, Some(2), 1, "quota.check", Internal, 7_400, 3_800),
    (6, Some(5), 5, "SELECT usage_by_day", Client, 7_900, 2_950),
    (7, Some(2), 1, "retrieve documents", Internal, 11_900, 388_000),
    (8, Some(7), 2, "POST /search", Server, 14_200, 381_000),
    (9, Some(8), 2, "embed query", Internal, 15_000, 118_000),
    (10, Some(9), 2, "POST embeddings", Client, 16_100, 115_400),
    (11, Some(8), 2, "vector search", Internal, 134_000, 201_000),
    (12, Some(11), 6, "SELECT chunks ORDER BY embedding <=> $1 LIMIT 40", Client, 135_200, 196_300),
    (13, Some(8), 2, "rerank", Internal, 336_000, 57_000),
    (14, Some(2), 1, "build prompt", Internal, 401_000, 9_400),
    (15, Some(2), 3, "POST /v1/complete", Server, 412_600, 5_940_000),
    (16, Some(15), 3, "route model", Internal, 413_000, 180),
    (17, Some(15), 3, "chat claude-large", Client, 413_900, 2_870_000),
    (18, Some(15), 3, "backoff", Internal, 3_284_500, 1_000_000),
    (19, Some(15), 3, "chat claude-large", Client, 4_285_100, 2_062_000),
    (20, Some(15), 3, "publish usage", Producer, 6_349_000, 1_400),
    (21, Some(20), 4, "usage process", Consumer, 6_348_200, 12_800),
    (22, Some(21), 5, "INSERT usage_events", Client, 6_351_000, 4_100),
    (23, Some(99), 4, "flush invoices", Internal, 6_370_000, 22_000),
    (24, Some(2), 1, "render error", Internal, 6_355_000, 1_050),
];

/// A chat over documents that its provider refuses twice, with an orphan and a skewed clock.
pub(super) fn chat() -> Trace {
    let mut spans: Vec<Span> = CHAT.into_iter().map(span).collect();
    fail(&mut spans);
    spans.sort_by_key(|span| span.start_ns);
    Trace {
        id: TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
        resources: vec![
            resource("web", "2026.11.3"),
            resource("chat-api", "8.41.0"),
            resource("retrieval", "3.9.2"),
            resource("model-gateway", "5.2.1"),
            resource("billing-worker", "1.18.0"),
            resource("postgres", "15.8"),
            resource("vector-db", "0.11"),
        ],
        spans,
        duplicate_count: 2,
        is_truncated: false,
    }
}

fn fail(spans: &mut [Span]) {
    for (index, message) in [
        (
            18,
            "529 overloaded_error: the model is temporarily overloaded",
        ),
        (
            16,
            "529 overloaded_error: the model is temporarily overloaded",
        ),
        (14, "provider failed after 2 attempts"),
        (1, "ProviderOverloaded"),
        (0, "500"),
    ] {
        spans[index].status = SpanStatus::Error;
        spans[index].status_message = message.to_owned();
    }
    let end_ns = spans[18].end_ns;
    let failed = &mut spans[18];
    failed.attributes = attributes(&[
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.provider.name", text("anthropic")),
        ("gen_ai.request.model", text("claude-large")),
        ("gen_ai.usage.input_tokens", AttributeValue::Int(18_422)),
        ("http.response.status_code", AttributeValue::Int(529)),
        ("server.address", text("api.provider.example")),
        (
            "gen_ai.input.messages",
            text("[{\"role\":\"user\",\"content\":\"Summarise the twelve reports\"}]"),
        ),
    ]);
    failed.events = vec![
        SpanEvent {
            time_ns: failed.start_ns + 40 * MS,
            name: "request sent".to_owned(),
            attributes: attributes(&[("http.request.body.size", AttributeValue::Int(81_220))]),
        },
        SpanEvent {
            time_ns: end_ns - MS,
            name: "exception".to_owned(),
            attributes: attributes(&[
                (
                    "exception.type",
                    text("model_gateway.errors.ProviderOverloaded"),
                ),
                (
                    "exception.message",
                    text("529 overloaded_error: the model is temporarily overloaded"),
                ),
                ("exception.stacktrace", text(STACK)),
            ]),
        },
    ];
    failed.links = vec![SpanLink {
        trace_id: TraceId::from_hex("a3ce929d0e0e47364bf92f3577b34da6"),
        span_id: Some(id(17)),
        attributes: attributes(&[("retry.attempt", AttributeValue::Int(1))]),
    }];
}

/// What went wrong in [`chat`].
pub(super) fn chat_failure() -> Failure {
    let trace = chat();
    let failing = trace.spans.iter().find(|span| span.id == id(19)).unwrap();
    Failure {
        class: FailureClass::ProviderError,
        span_id: failing.id,
        service: "model-gateway".to_owned(),
        span_name: failing.name.clone(),
        message: failing.status_message.clone(),
        fingerprint: 1,
        started_ns: failing.start_ns,
        duration_ns: failing.duration_ns(),
        rule: None,
        advice: FailureClass::ProviderError.advice().to_owned(),
    }
}

/// A trace of `count` spans: a batch run whose steps fan out, some of them failing.
pub(super) fn large(count: u32) -> Trace {
    let mut trace = chat();
    trace.id = TraceId::from_hex("b7ad6b7169203331b7ad6b7169203331").unwrap();
    trace.duplicate_count = 0;
    let step = 60_000_000 / u64::from(count);
    trace.spans = (0..count)
        .map(|n| {
            let parent = n
                .checked_sub(1)
                .map(|last| i64::from(if n % 7 < 3 { last } else { n / 7 }) + 1);
            let name = [
                "run step",
                "load chunk",
                "embed",
                "SELECT chunks",
                "score",
                "write result",
            ][(n % 6) as usize];
            let mut span = span((
                i64::from(n) + 1,
                parent,
                (n as usize * 3 / 2) % 7,
                name,
                SpanKind::Internal,
                u64::from(n) * step,
                if n == 0 {
                    60_000_000
                } else {
                    step * u64::from(1 + n * 7 % 90)
                },
            ));
            if n % 331 == 330 {
                span.status = SpanStatus::Error;
                span.status_message = format!("chunk {n} could not be scored");
            }
            span
        })
        .collect();
    trace
}
