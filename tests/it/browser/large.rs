//! A trace of ten thousand spans scrolls as one of ten does.

use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use tracedesk::clock::new_id;

use super::signed_in;
use crate::app::TestApp;

const SPANS: u64 = 10_000;
const FAILING: u64 = 7_321;
/// Rows that may be in the page: those of a tall window and what is kept above and below them.
const MAX_ROWS: u64 = 80;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Value::StringValue(value.to_owned());
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Batches of a hundred documents under one root; one document of one batch fails, and takes batch and root with it.
fn batches(trace_id: &[u8], now: DateTime<Utc>) -> TracesData {
    let start = u64::try_from(now.timestamp_nanos_opt().unwrap()).unwrap() - 60_000_000_000;
    let span = |number: u64| {
        let parent = if number == 1 {
            0
        } else if number % 100 == 2 {
            1
        } else {
            (number - 2) / 100 * 100 + 2
        };
        let (name, took_ms) = match (parent, number) {
            (0, _) => ("import documents".to_owned(), 40_000),
            (1, _) => (format!("batch {}", number / 100 + 1), 300),
            _ => (format!("parse document {number}"), 3),
        };
        let is_on_path =
            number == FAILING || number == 1 || number == (FAILING - 2) / 100 * 100 + 2;
        let begun = start + number * 3_000_000;
        Span {
            trace_id: trace_id.to_vec(),
            span_id: number.to_be_bytes().to_vec(),
            parent_span_id: if parent == 0 {
                Vec::new()
            } else {
                parent.to_be_bytes().to_vec()
            },
            name,
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: begun,
            end_time_unix_nano: begun + took_ms * 1_000_000,
            status: is_on_path.then(|| Status {
                code: StatusCode::Error.into(),
                message: "page 12 can't be read".to_owned(),
            }),
            events: if number == FAILING {
                vec![Event {
                    time_unix_nano: begun + 2_000_000,
                    name: "exception".to_owned(),
                    attributes: vec![
                        text("exception.type", "PdfError"),
                        text("exception.message", "page 12 can't be read"),
                    ],
                    ..Event::default()
                }]
            } else {
                Vec::new()
            },
            ..Span::default()
        }
    };
    TracesData {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "importer")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: (1..=SPANS).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

#[tokio::test]
async fn ten_thousand_spans_scroll_with_only_what_is_visible_in_the_page() {
    let app = TestApp::start().await;
    let trace_id = new_id();
    app.send_spans(&batches(trace_id.as_bytes(), app.state.clock.now()))
        .await;
    let browser = signed_in(&app).await;
    browser
        .goto(app.url(&format!("/desk/traces/{}", trace_id.simple())))
        .await;
    browser.find(".wf-live .is-failing.is-selected").await;
    assert!(
        browser
            .text(".is-failing")
            .await
            .contains(&format!("parse document {FAILING}"))
    );
    assert!(browser.text(".wf-panel").await.contains("PdfError"));
    let is_in_view = "(row => row.top >= frame.top && row.bottom <= frame.bottom)(document.querySelector('.is-failing').getBoundingClientRect())"
        .replace("frame", "document.querySelector('.wf-scroll').getBoundingClientRect()");
    assert_eq!(browser.js(&is_in_view).await, true);
    let rows = "document.querySelectorAll('.wf-row').length";
    assert!(browser.js(rows).await.as_u64().unwrap() < MAX_ROWS);
    // To the end, in one go and by the frame.
    browser
        .js("document.querySelector('.wf-scroll').scrollTo(0, 1e9)")
        .await;
    browser.until(&format!("[...document.querySelectorAll('.wf-row b')].some(b => b.textContent === 'parse document {SPANS}')")).await;
    assert!(browser.js(rows).await.as_u64().unwrap() < MAX_ROWS);
    let step_ms = browser.run(SCROLL).await.as_f64().unwrap();
    assert!(step_ms < MAX_STEP_MS, "a step took {step_ms} ms");
    assert!(browser.js(rows).await.as_u64().unwrap() < MAX_ROWS);
    browser.close().await;
    app.finish().await;
}

/// What a step may take on average, drawn: a sixth of it is usual, the rest is for busy machines.
const MAX_STEP_MS: f64 = 100.0;
/// Scrolls from the end to the start in 120 steps and waits until each is drawn; the average milliseconds of a step.
const SCROLL: &str = "
    const done = arguments[arguments.length - 1];
    const scroll = document.querySelector('.wf-scroll');
    const steps = 120, step = scroll.scrollHeight / steps, begun = performance.now();
    let left = steps;
    const next = () => {
      if (left-- === 0) return done((performance.now() - begun) / steps);
      scroll.scrollTop -= step;
      requestAnimationFrame(next);
    };
    next();
";
