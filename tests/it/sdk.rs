//! Traces of a program that uses the stock OpenTelemetry SDK, set up by its environment variables alone.

use std::process::Output;

use tokio::process::Command;
use tracedesk::access::api_key::Scope;

use crate::app::TestApp;

/// Runs `tests/data/otel_client.py` against the service.
async fn run_client(app: &TestApp, key: &str, encoding: &str, compression: &str) -> Output {
    let python = std::env::var("TRACEDESK_TEST_PYTHON").expect(
        "TRACEDESK_TEST_PYTHON must name a Python that has the OpenTelemetry SDK; ./test sets it",
    );
    Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/otel_client.py"
        ))
        .arg(encoding)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &app.address)
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            format!("authorization=Bearer%20{key}"),
        )
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn its_traces_arrive_in_both_encodings_plain_and_packed() {
    let app = TestApp::start().await;
    let key = app.key(&[Scope::TracesWrite]).await;
    for encoding in ["protobuf", "json"] {
        for compression in ["none", "gzip"] {
            let output = run_client(&app, &key, encoding, compression).await;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{encoding} {compression}: {told}");
            let trace_id = String::from_utf8(output.stdout).unwrap();
            let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
            assert_eq!(
                ticket["trace"]["state"], "linked",
                "{encoding} {compression}"
            );
            assert_eq!(ticket["trace"]["failure"]["class"], "document_failed");
            let shown = app.cli(&["trace", trace_id.trim()]).await;
            assert!(shown.contains("3 spans"), "{shown}");
            assert!(
                shown.contains("extract text in documents") && shown.contains("PDF is encrypted"),
                "{shown}"
            );
            assert!(app.mail().await.text.contains("PDF is encrypted"));
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn its_export_fails_when_the_key_is_wrong() {
    let app = TestApp::start().await;
    let key = app.key(&[Scope::TracesRead]).await;
    for encoding in ["protobuf", "json"] {
        let output = run_client(&app, &key, encoding, "gzip").await;
        assert_eq!(output.status.code(), Some(1), "{encoding}");
    }
    app.finish().await;
}
