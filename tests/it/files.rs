//! Real traces from files: `tracedesk import`, and every way to look at what it stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::trace::v1::{Status, TracesData};
use prost::Message as _;
use serde_json::Value;

use crate::app::TestApp;
use crate::spans::spans_of;

/// A line of the table in tests/data/traces/README.md.
struct Listed {
    file: &'static str,
    spans: usize,
    traces: usize,
    /// Spans with the same ID are one when they are shown.
    distinct: usize,
}

const fn listed(file: &'static str, spans: usize, traces: usize, distinct: usize) -> Listed {
    Listed {
        file,
        spans,
        traces,
        distinct,
    }
}

const FILES: &[Listed] = &[
    listed("jaeger-json/jaeger-ui-genaiTestTrace.json", 57, 1, 57),
    listed("jaeger-json/quickwit-jaeger_ui_trace.json", 5, 1, 5),
    listed("jaeger-json/spanLongerAsParent.json", 8, 1, 8),
    listed("jaeger-json/spansAmongEachOther.json", 12, 1, 12),
    listed("jaeger-json/testTraceNormal.json", 5, 1, 5),
    listed("otlp-json/jaeger-ui-otlp2jaeger-in-error.json", 1, 1, 1),
    listed("otlp-json/jaeger-ui-otlp2jaeger-in.json", 2, 1, 1),
    listed(
        "otlp-json/jaeger-ui-otlp2jaeger-multi-in-combined.json",
        4,
        1,
        4,
    ),
    listed("otlp-json/jaeger-ui-otlp2jaeger-multi-in.jsonl", 4, 1, 4),
    listed("otlp-json/otel-proto-trace.json", 1, 1, 1),
    listed("otlp-json/otel-rust-failed_traces.json", 2, 1, 2),
    listed("otlp-json/otel-rust-serialized_traces.json", 2, 1, 2),
    listed("otlp-json/otel-rust-traces.json", 2, 1, 2),
    listed("sdk-captured/rs-0.33.1.json", 1, 1, 1),
    listed("sdk-captured/rs-0.33.1.pb", 1, 1, 1),
    listed("sdk-captured/rs-0.33.1.pb.gz", 1, 1, 1),
    listed("zipkin-as-otlp/messaging-kafka.json", 28, 1, 28),
    listed("zipkin-as-otlp/skew.json", 4, 1, 3),
    listed(
        "zipkin-as-otlp/smartthings-oauth-authorization.json",
        175,
        1,
        130,
    ),
    listed("zipkin-as-otlp/yelp.json", 16, 1, 13),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/traces")
}

#[test]
fn the_list_names_every_file_there_is() {
    let mut there = BTreeSet::new();
    for folder in std::fs::read_dir(folder()).unwrap() {
        let folder = folder.unwrap().path();
        for file in folder
            .is_dir()
            .then(|| std::fs::read_dir(&folder).unwrap())
            .into_iter()
            .flatten()
        {
            let file = file.unwrap().path();
            let name = file.strip_prefix(self::folder()).unwrap();
            there.insert(name.to_str().unwrap().to_owned());
        }
    }
    let named = FILES.iter().map(|listed| listed.file.to_owned()).collect();
    assert_eq!(there, named);
}

/// Traces, each with the number of its spans, that are stored and not our own.
async fn stored(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT DISTINCT replace(trace_id::text, '-', '') FROM trace_parts WHERE service <> 'tracedesk'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

async fn protobuf_of(app: &TestApp, trace_id: &str) -> TracesData {
    let request = app.get(&format!("/api/v1/traces/{trace_id}"));
    let request = request
        .bearer_auth(&app.admin_key)
        .header("accept", "application/x-protobuf");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    TracesData::decode(response.bytes().await.unwrap()).unwrap()
}

fn count_spans(json: &Value) -> usize {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    list(json, "resourceSpans")
        .iter()
        .flat_map(|resource| list(resource, "scopeSpans"))
        .map(|scope| list(&scope, "spans").len())
        .sum()
}

#[tokio::test]
async fn every_file_imports_whole_and_is_shown_whole_by_every_way_to_look() {
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    for listed in FILES {
        let file = folder().join(listed.file).display().to_string();
        let told = app.cli(&["import", &file]).await;
        let plural = |count, noun| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        assert_eq!(
            told,
            format!(
                "{} of {}\n",
                plural(listed.spans, "span"),
                plural(listed.traces, "trace")
            ),
            "{}",
            listed.file
        );
        let ids = stored(&app).await;
        assert_eq!(ids.len(), listed.traces, "{}", listed.file);
        let mut distinct = 0;
        for id in &ids {
            distinct += shown_spans(&app, &other, id).await;
        }
        assert_eq!(distinct, listed.distinct, "{}", listed.file);
        forget(&app).await;
        forget(&other).await;
    }
    app.finish().await;
    other.finish().await;
}

/// Empties the store: some files hold the same trace.
async fn forget(app: &TestApp) {
    sqlx::query("TRUNCATE trace_parts")
        .execute(&app.pool)
        .await
        .unwrap();
}

/// The number of a trace's spans, on which protobuf, JSON, the terminal and the desk must agree.
async fn shown_spans(app: &TestApp, other: &TestApp, id: &str) -> usize {
    let protobuf = protobuf_of(app, id).await;
    let spans = spans_of(&protobuf);
    let distinct: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(spans.len(), distinct.len(), "each once");

    let response = app.read(&format!("/api/v1/traces/{id}")).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(count_spans(&json), spans.len());

    // The terminal's line counts: a head, a failure if there is one, and a line a span.
    let drawn = app.cli(&["trace", id]).await;
    let head = format!(
        "trace {id}  {} span{}, ",
        spans.len(),
        if spans.len() == 1 { "" } else { "s" }
    );
    assert!(drawn.starts_with(&head), "{drawn}");
    let rows = drawn.lines().filter(|line| line.contains('█')).count();
    assert_eq!(rows, spans.len(), "{drawn}");
    let printed = app.cli(&["trace", id, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), json);

    comes_back_as_json(other, &text, &protobuf).await;
    spans.len()
}

/// What is given as JSON, sent to the JSON door of a service that does not know it, is the same content.
async fn comes_back_as_json(other: &TestApp, json: &str, protobuf: &TracesData) {
    let response = other
        .post("/v1/traces")
        .bearer_auth(&other.admin_key)
        .header("content-type", "application/json")
        .body(json.to_owned())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "{}");
    let ids = stored(other).await;
    assert_eq!(ids.len(), 1);
    let again = protobuf_of(other, &ids[0]).await;
    assert_eq!(by_span(&again), by_span(protobuf));
}

/// A span, its resource and its scope, encoded.
type Encoded = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Each span's bytes with those of its resource and scope, whatever the order.
fn by_span(data: &TracesData) -> BTreeMap<Vec<u8>, Encoded> {
    let mut all = BTreeMap::new();
    for resource in &data.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let mut span = span.clone();
                // A status without anything in it is none.
                span.status = span.status.filter(|status| *status != Status::default());
                let described = (
                    span.encode_to_vec(),
                    resource
                        .resource
                        .clone()
                        .unwrap_or_default()
                        .encode_to_vec(),
                    scope.scope.clone().unwrap_or_default().encode_to_vec(),
                );
                all.insert(span.span_id.clone(), described);
            }
        }
    }
    all
}

#[tokio::test]
async fn a_broken_line_is_named_and_the_good_ones_are_kept() {
    let app = TestApp::start().await;
    let lines =
        std::fs::read_to_string(folder().join("otlp-json/jaeger-ui-otlp2jaeger-multi-in.jsonl"))
            .unwrap();
    let mut lines: Vec<_> = lines.lines().collect();
    assert!(lines.len() >= 2);
    lines.insert(1, r#"{"resourceSpans": [{"scopeSpans""#);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    let path = file.path().display().to_string();

    let output = app.run(&["import", &path], "").await;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&path), "{told}");
    assert!(told.contains("line 2"), "{told}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "4 spans of 1 trace\n"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_trace_is_named_and_the_others_are_imported() {
    let app = TestApp::start().await;
    let good = folder().join("zipkin-as-otlp/skew.json");
    let bad = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bad.path(), "Dear support,\n").unwrap();
    let bad = bad.path().display().to_string();
    let output = app
        .run(
            &[
                "import",
                &bad,
                "/nowhere/at-all.json",
                good.to_str().unwrap(),
            ],
            "",
        )
        .await;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&bad), "{told}");
    assert!(told.contains("/nowhere/at-all.json"), "{told}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "4 spans of 1 trace\n"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_import_links_the_tickets_that_wait_for_its_traces() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report_of("1e223ff1f80f1c69")).await;
    assert_eq!(ticket["trace"]["state"], "waiting");
    let file = folder().join("zipkin-as-otlp/skew.json");
    app.cli(&["import", file.to_str().unwrap()]).await;
    let ticket = app.ticket(ticket["id"].as_str().unwrap()).await;
    assert_eq!(ticket["trace"]["state"], "linked");
    app.finish().await;
}

#[tokio::test]
async fn what_is_not_stored_and_what_is_no_id_are_told_apart() {
    let app = TestApp::start().await;
    for (typed, says) in [
        (
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "not yet, or not any more",
        ),
        ("00000000000000000000000000000000", "zero"),
        ("hello", ""),
    ] {
        let output = app.run(&["trace", typed], "").await;
        assert_eq!(output.status.code(), Some(1), "{typed}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(says) && told.lines().count() == 1, "{told}");
    }
    assert_eq!(app.run(&["trace"], "").await.status.code(), Some(2));
    let response = app
        .read("/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736")
        .await;
    assert_eq!(response.status(), 404);
    let response = app.read("/api/v1/traces/0").await;
    assert_eq!(response.status(), 400);
    app.finish().await;
}
