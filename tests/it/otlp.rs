//! The door for spans, `POST /v1/traces`, as OpenTelemetry's protocol specification has it.

use std::io::Write as _;

use chrono::{DateTime, Days, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracedesk::access::api_key::Scope;
use tracedesk::clock::Clock;
use tracedesk::db;
use tracedesk::db::embedded::{Embedded, Options};
use tracedesk::traces::store;
use tracedesk::workers;

use crate::app::{TestApp, eventually, noon};
use crate::cluster::shared_cluster;
use crate::proxy::Proxy;
use crate::spans::{export, failing_trace, new_trace_id, span, spans_of};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const MIB: usize = 1024 * 1024;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A request to the door with the admin's key.
fn door(app: &TestApp, content_type: &str) -> RequestBuilder {
    app.post("/v1/traces")
        .bearer_auth(&app.admin_key)
        .header("content-type", content_type)
}

async fn send(app: &TestApp, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
    door(app, content_type).body(body).send().await.unwrap()
}

async fn send_gzip(app: &TestApp, content_type: &str, body: Vec<u8>) -> Response {
    door(app, content_type)
        .header("content-encoding", "gzip")
        .body(body)
        .send()
        .await
        .unwrap()
}

/// What the API shows of a trace, as protobuf.
async fn stored(app: &TestApp, trace_id: &str) -> TracesData {
    let response = app
        .get(&format!("/api/v1/traces/{trace_id}"))
        .bearer_auth(&app.admin_key)
        .header("accept", PROTOBUF)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    TracesData::decode(response.bytes().await.unwrap()).unwrap()
}

async fn is_stored(app: &TestApp, trace_id: &str) -> bool {
    let response = app.read(&format!("/api/v1/traces/{trace_id}")).await;
    response.status() == 200
}

/// The error of a refused request, whose encoding must be the request's.
async fn refusal(response: Response, status: u16) -> RpcStatus {
    assert_eq!(response.status(), status);
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = response.bytes().await.unwrap();
    let error = if content_type == PROTOBUF {
        RpcStatus::decode(body).unwrap()
    } else {
        assert_eq!(content_type, JSON);
        let value: Value = serde_json::from_slice(&body).unwrap();
        RpcStatus {
            code: i32::try_from(value["code"].as_i64().unwrap()).unwrap(),
            message: value["message"].as_str().unwrap().to_owned(),
        }
    };
    assert!(!error.message.is_empty());
    error
}

fn json_export(trace_id: &str, span_id: &str) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": [
        {"key": "service.name", "value": {"stringValue": "api"}}]},
        "scopeSpans": [{"spans": [{"traceId": trace_id, "spanId": span_id, "name": "GET /", "kind": 2,
            "startTimeUnixNano": "1764066600000000000", "endTimeUnixNano": "1764066601000000000"}]}]}]})
}

#[tokio::test]
async fn both_encodings_plain_and_packed_store_what_was_sent() {
    let app = TestApp::start().await;
    for is_packed in [false, true] {
        let trace_id = new_trace_id();
        let sent = failing_trace(&trace_id);
        let body = sent.encode_to_vec();
        let response = if is_packed {
            send_gzip(&app, PROTOBUF, gzip(&body)).await
        } else {
            send(&app, PROTOBUF, body).await
        };
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], PROTOBUF);
        let answer = ExportTraceServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
        assert_eq!(answer.partial_success, None);
        assert_eq!(
            stored(&app, &trace_id).await,
            sent,
            "nothing is added or lost"
        );

        // What the API gives as JSON is taken as JSON, and is the same trace under another ID.
        let shown = app.read(&format!("/api/v1/traces/{trace_id}")).await;
        let other_id = new_trace_id();
        let body = shown.text().await.unwrap().replace(&trace_id, &other_id);
        let response = if is_packed {
            send_gzip(&app, JSON, gzip(body.as_bytes())).await
        } else {
            send(&app, JSON, body).await
        };
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], JSON);
        assert_eq!(response.text().await.unwrap(), "{}");
        let mut expected = sent;
        for resource in &mut expected.resource_spans {
            for span in &mut resource.scope_spans[0].spans {
                span.trace_id = hex::decode(&other_id).unwrap();
            }
        }
        assert_eq!(stored(&app, &other_id).await, expected);
    }
    app.finish().await;
}

#[tokio::test]
async fn an_empty_request_is_a_success() {
    let app = TestApp::start().await;
    assert_eq!(send(&app, PROTOBUF, "").await.status(), 200);
    let response = send(&app, JSON, "{}").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "{}");
    let response = send(&app, "Application/JSON; charset=utf-8", "{}").await;
    assert_eq!(response.status(), 200);
    app.finish().await;
}

#[tokio::test]
async fn bad_spans_are_counted_and_the_good_ones_kept() {
    let app = TestApp::start().await;
    let good = new_trace_id();
    let mut bad = Vec::from([(); 5].map(|()| span(&good, 9, 0, "bad")));
    bad[0].trace_id = vec![0; 16];
    bad[1].trace_id.pop();
    bad[2].span_id = vec![0; 8];
    bad[3].span_id.push(1);
    bad[4].parent_span_id = vec![1; 7];
    bad.push(span(&good, 1, 0, "good"));
    let response = send(&app, PROTOBUF, export("api", bad).encode_to_vec()).await;
    assert_eq!(response.status(), 200);
    let answer = ExportTraceServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 5);
    assert_eq!(partial.error_message, "trace_id is all zeros");
    let kept = spans_of(&stored(&app, &good).await);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].name, "good");

    for (trace_id, span_id) in [
        ("", "0000000000000001"),
        (&good[1..], "0000000000000001"),
        (&good, "xyz"),
    ] {
        let response = send(&app, JSON, json_export(trace_id, span_id).to_string()).await;
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            answer["partialSuccess"]["rejectedSpans"], "1",
            "{trace_id} {span_id}"
        );
        assert!(
            answer["partialSuccess"]["errorMessage"]
                .as_str()
                .unwrap()
                .contains("Id")
                || answer["partialSuccess"]["errorMessage"]
                    .as_str()
                    .unwrap()
                    .contains("_id"),
            "{answer}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_requests_own_encoding() {
    let app = TestApp::start().await;
    let truncated = &failing_trace(&new_trace_id()).encode_to_vec()[..40];
    let error = refusal(send(&app, PROTOBUF, truncated.to_vec()).await, 400).await;
    assert_eq!(error.code, 3);
    for body in ["", "{", "[]", "nonsense", r#"{"resourceSpans": 7}"#] {
        let error = refusal(send(&app, JSON, body).await, 400).await;
        assert_eq!(error.code, 3, "{body}");
    }
    for body in [b"not gzip".to_vec(), gzip(b"{}")[..12].to_vec()] {
        let error = refusal(send_gzip(&app, JSON, body).await, 400).await;
        assert!(error.message.contains("gzip"), "{}", error.message);
    }
    for content_type in ["text/plain", "application/grpc", ""] {
        refusal(send(&app, content_type, "{}").await, 415).await;
    }
    let no_type = app.post("/v1/traces").bearer_auth(&app.admin_key);
    refusal(no_type.body("{}").send().await.unwrap(), 415).await;
    let brotli = door(&app, PROTOBUF).header("content-encoding", "br");
    let error = refusal(brotli.body("x").send().await.unwrap(), 415).await;
    assert!(error.message.contains("gzip"), "{}", error.message);
    let response = app.get("/v1/traces").send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST");
    app.finish().await;
}

#[tokio::test]
async fn only_a_key_that_may_send_spans_is_let_in() {
    let app = TestApp::start().await;
    let reader = app.key(&[Scope::TracesRead, Scope::TicketsWrite]).await;
    let writer = app.key(&[Scope::TracesWrite]).await;
    let try_with = async |authorization: Option<String>| {
        let mut request = app.post("/v1/traces").header("content-type", PROTOBUF);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        request.send().await.unwrap()
    };
    for authorization in [
        None,
        Some("Bearer nonsense".to_owned()),
        Some(format!("Basic {writer}")),
        Some(format!("Bearer {}", &writer[..writer.len() - 1])),
    ] {
        let response = try_with(authorization.clone()).await;
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer",
            "{authorization:?}"
        );
        let error = refusal(response, 401).await;
        assert_eq!(error.code, 16);
    }
    let error = refusal(try_with(Some(format!("Bearer {reader}"))).await, 403).await;
    assert_eq!(error.code, 7);
    assert!(
        error.message.contains("traces:write"),
        "names the missing scope"
    );
    let response = try_with(Some(format!("Bearer {writer}"))).await;
    assert_eq!(response.status(), 200);
    app.finish().await;
}

#[tokio::test]
async fn bodies_over_the_cap_are_refused_before_and_after_unpacking() {
    let app = TestApp::start().await;
    // 65 MiB of zeros are 65 kB packed.
    let bomb = gzip(&vec![0; 65 * MIB]);
    assert!(bomb.len() < MIB);
    let error = refusal(send_gzip(&app, PROTOBUF, bomb).await, 413).await;
    assert!(error.message.contains("64 MiB"), "{}", error.message);
    let error = refusal(send(&app, PROTOBUF, vec![0; 65 * MIB]).await, 413).await;
    assert!(error.message.contains("64 MiB"), "{}", error.message);
    app.finish().await;
}

#[tokio::test]
async fn a_body_in_chunks_is_read_as_any_other() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let body = failing_trace(&trace_id).encode_to_vec();
    let address = app.address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {PROTOBUF}\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        app.admin_key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for chunk in body.chunks(7) {
        let size = format!("{:x}\r\n", chunk.len());
        stream
            .write_all(&[size.as_bytes(), chunk, b"\r\n"].concat())
            .await
            .unwrap();
        stream.flush().await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    assert_eq!(spans_of(&stored(&app, &trace_id).await).len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_full_queue_asks_to_come_back() {
    let app = TestApp::builder().queue_bytes(300).start().await;
    let body = failing_trace(&new_trace_id()).encode_to_vec();
    assert!(body.len() > 300);
    let response = send(&app, PROTOBUF, body).await;
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=3).contains(&wait));
    assert_eq!(refusal(response, 503).await.code, 14);
    // What was held is given back: a small request still fits.
    let small = export("a", vec![span(&new_trace_id(), 1, 0, "small")]);
    assert!(small.encoded_len() < 300);
    for _ in 0..5 {
        let response = send(&app, PROTOBUF, small.encode_to_vec()).await;
        assert_eq!(response.status(), 200);
    }
    app.finish().await;
}

#[tokio::test]
async fn while_the_database_is_away_spans_are_asked_for_again_and_nothing_else_is_said() {
    let direct = shared_cluster().fresh_database().await;
    let proxy = Proxy::before(&direct);
    let app = TestApp::builder().pool(proxy.pool().await).start().await;
    let trace_id = new_trace_id();
    let body = failing_trace(&trace_id).encode_to_vec();

    // Lost in the middle of storing, after the key was checked.
    proxy.cut_at(b"COPY trace_parts");
    let response = send(&app, PROTOBUF, body.clone()).await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(refusal(response, 503).await.code, 14);

    proxy.cut();
    let response = send(&app, PROTOBUF, body.clone()).await;
    assert!(response.headers().contains_key("retry-after"));
    refusal(response, 503).await;
    let response = app.read("/api/v1/tickets").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(app.get("/readyz").send().await.unwrap().status(), 503);
    assert_eq!(app.get("/livez").send().await.unwrap().status(), 200);

    proxy.mend();
    // Connections that died a moment ago cost a 503 each, which clients retry.
    eventually("spans are taken again", async || {
        send(&app, PROTOBUF, body.clone()).await.status() == 200
    })
    .await;
    assert_eq!(spans_of(&stored(&app, &trace_id).await).len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_database() {
    let data = TempDir::new().unwrap();
    let embedded = Embedded::start(data.path(), Options::default())
        .await
        .unwrap();
    let pool = db::connect(embedded.connect_options(), 10).await.unwrap();
    db::migrate(&mut pool.acquire().await.unwrap())
        .await
        .unwrap();
    let app = TestApp::builder().pool(pool).start().await;
    let ids: Vec<_> = (0..20).map(|_| new_trace_id()).collect();
    for id in &ids {
        app.send_spans(&failing_trace(id)).await;
    }
    let pid_file = std::fs::read_to_string(data.path().join("postgres/postmaster.pid")).unwrap();
    let pid = pid_file.lines().next().unwrap().trim().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();

    eventually("the service has its database again", async || {
        app.get("/readyz").send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    for id in &ids {
        eventually("what was acknowledged is there", async || {
            is_stored(&app, id).await
        })
        .await;
    }
    app.finish().await;
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn parts_of_several_requests_and_days_are_one_trace() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder().clock(clock.clone()).start().await;
    let trace_id = new_trace_id();
    let part = |id: u64| export("api", vec![span(&trace_id, id, id - 1, "step")]);
    app.send_spans(&part(1)).await;
    app.send_spans(&part(2)).await;
    // A client that had no answer sends again.
    app.send_spans(&part(2)).await;
    clock.set(noon() + Days::new(1));
    app.send_spans(&part(3)).await;
    let mut ids: Vec<_> = spans_of(&stored(&app, &trace_id).await)
        .into_iter()
        .map(|span| u64::from_be_bytes(span.span_id.try_into().unwrap()))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3], "each once");
    let rows: i64 = sqlx::query_scalar("SELECT count(DISTINCT tableoid) FROM trace_parts")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(rows, 2, "a partition a day");
    app.finish().await;
}

#[tokio::test]
async fn partitions_stand_ready_for_days_and_are_made_when_they_are_missing() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder().clock(clock.clone()).start().await;
    let days = partition_days(&app).await;
    assert_eq!(days.len() as u64, store::PARTITION_DAYS_AHEAD);
    assert_eq!(days[0], "trace_parts_20261125");

    // Far beyond what stands ready, as if maintenance had not run for weeks.
    clock.set(noon() + Days::new(30));
    let trace_id = new_trace_id();
    app.send_spans(&failing_trace(&trace_id)).await;
    assert!(is_stored(&app, &trace_id).await);
    assert!(
        partition_days(&app)
            .await
            .contains(&"trace_parts_20261225".to_owned())
    );
    app.finish().await;
}

#[tokio::test]
async fn retention_drops_days_and_keeps_the_traces_of_tickets() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder()
        .clock(clock.clone())
        .setting("TRACEDESK_RETENTION_DAYS", "3")
        .start()
        .await;
    let (pinned, unpinned) = (new_trace_id(), new_trace_id());
    app.send_spans(&failing_trace(&pinned)).await;
    app.send_spans(&failing_trace(&unpinned)).await;
    let ticket = app.open_ticket(&app.report_of(&pinned)).await;
    assert_eq!(ticket["trace"]["state"], "linked");

    clock.set(noon() + Days::new(3));
    workers::maintain(app.state.clone()).await.unwrap();
    assert!(is_stored(&app, &unpinned).await, "kept for three days");
    clock.set(noon() + Days::new(4));
    workers::maintain(app.state.clone()).await.unwrap();
    assert!(!is_stored(&app, &unpinned).await, "past retention");
    assert_eq!(
        spans_of(&stored(&app, &pinned).await).len(),
        2,
        "its ticket keeps it"
    );
    assert_eq!(partition_days(&app).await[0], "trace_parts_20261126");
    app.finish().await;
}

async fn partition_days(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'trace_parts'::regclass ORDER BY 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn many_clients_at_once_lose_nothing() {
    let app = TestApp::start().await;
    let ids: Vec<_> = (0..200).map(|_| new_trace_id()).collect();
    let sends = ids.chunks(25).map(async |ids| {
        for id in ids {
            app.send_spans(&failing_trace(id)).await;
        }
    });
    futures_util::future::join_all(sends).await;
    let stored: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT trace_id) FROM trace_parts WHERE service <> 'tracedesk'",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(stored, 200);
    app.finish().await;
}

#[tokio::test]
async fn times_at_the_ends_of_what_a_span_can_hold_are_kept() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let mut first = span(&trace_id, 1, 0, "no\0time");
    (first.start_time_unix_nano, first.end_time_unix_nano) = (0, 0);
    let mut last = span(&trace_id, 2, 1, "for ever");
    (last.start_time_unix_nano, last.end_time_unix_nano) = (u64::MAX, 1);
    app.send_spans(&export("a\0b", vec![first, last])).await;
    let (started, ended): (DateTime<Utc>, DateTime<Utc>) = sqlx::query_as(
        "SELECT started_at, ended_at FROM trace_parts WHERE trace_id = $1::text::uuid",
    )
    .bind(&trace_id)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(started, DateTime::UNIX_EPOCH);
    assert_eq!(ended.format("%Y").to_string(), "2554");
    let desk = app.sign_in("ada@example.com").await;
    assert!(
        desk.page(&format!("/desk/traces/{trace_id}"))
            .await
            .contains("for ever")
    );
    app.finish().await;
}
