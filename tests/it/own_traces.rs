//! tracedesk's own requests are traces like any others, found by the ID that every response carries.

use reqwest::Response;
use serde_json::Value;

use crate::app::{TestApp, between, eventually};

fn trace_id_of(response: &Response) -> String {
    response.headers()["trace-id"].to_str().unwrap().to_owned()
}

/// The trace as JSON, once it is stored: our own spans are stored after the answer is given.
async fn trace(app: &TestApp, id: &str) -> Value {
    let path = format!("/api/v1/traces/{id}");
    let is_stored = async || app.read(&path).await.status() == 200;
    eventually("our own trace is stored", is_stored).await;
    app.read(&path).await.json().await.unwrap()
}

#[tokio::test]
async fn every_response_names_its_trace() {
    let app = TestApp::start().await;
    let mut seen = Vec::new();
    for (path, status) in [
        ("/", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/desk", 303),
        ("/desk/sign-in", 200),
        ("/nothing", 404),
        ("/api/v1/tickets", 401),
        ("/api/v1/nothing", 404),
        ("/t/nothing", 404),
        ("/assets/nothing.css", 404),
        ("/v1/traces", 405),
    ] {
        let response = app.get(path).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let id = trace_id_of(&response);
        let body = response.text().await.unwrap();
        // OTLP's own errors have no place for it.
        if status >= 400 && !matches!(path, "/assets/nothing.css" | "/v1/traces") {
            assert!(body.contains(&id), "{path} shows its trace: {body}");
        }
        seen.push(id);
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "each request has its own");
    app.finish().await;
}

#[tokio::test]
async fn a_request_is_shown_by_the_api_and_in_the_terminal() {
    let app = TestApp::start().await;
    let response = app.send_report(&app.report()).await;
    let id = trace_id_of(&response);
    let shown = trace(&app, &id).await.to_string();
    assert!(shown.contains("POST /api/v1/tickets"), "{shown}");
    assert!(shown.contains("http.response.status_code"), "{shown}");
    let drawn = app.cli(&["trace", &id]).await;
    assert!(
        drawn.contains("POST /api/v1/tickets (tracedesk)"),
        "{drawn}"
    );
    assert!(drawn.contains(", 0 errors,"), "{drawn}");
    app.finish().await;
}

#[tokio::test]
async fn secrets_of_a_path_are_not_in_its_trace() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let token = ticket["url"].as_str().unwrap().rsplit('/').next().unwrap();
    let response = app.get(&format!("/t/{token}")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let shown = trace(&app, &trace_id_of(&response)).await.to_string();
    assert!(shown.contains("/t/{token}"), "{shown}");
    assert!(!shown.contains(token));
    app.finish().await;
}

#[tokio::test]
async fn a_failure_of_ours_can_be_looked_up_by_the_id_it_showed() {
    let app = TestApp::start().await;
    // Sabotage: a bug that no request can be blamed for.
    sqlx::query("ALTER TABLE tickets DROP COLUMN page_path")
        .execute(&app.pool)
        .await
        .unwrap();
    let response = app.send_report(&app.report()).await;
    assert_eq!(response.status(), 500);
    let id = trace_id_of(&response);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["trace_id"], id.as_str());
    assert!(
        !body.to_string().contains("page_path"),
        "nothing of the cause is shown: {body}"
    );

    let stored = trace(&app, &id).await;
    let text = stored.to_string();
    assert!(
        text.contains("exception") && text.contains("page_path"),
        "{text}"
    );
    let drawn = app.cli(&["trace", &id]).await;
    assert!(drawn.contains("internal_error: "), "{drawn}");
    assert!(drawn.contains("page_path"), "{drawn}");
    let head = drawn.lines().next().unwrap();
    let spans: usize = between(head, "  ", " span").parse().unwrap();
    assert!(spans >= 2, "the request and what it did: {drawn}");

    // A report about it links to it.
    sqlx::query("ALTER TABLE tickets ADD COLUMN page_path text")
        .execute(&app.pool)
        .await
        .unwrap();
    let ticket = app.open_ticket(&app.report_of(&body.to_string())).await;
    assert_eq!(ticket["trace"]["id"], id.as_str());
    assert_eq!(ticket["trace"]["failure"]["class"], "internal_error");
    app.finish().await;
}

#[tokio::test]
async fn the_callers_own_trace_is_linked_not_joined() {
    let app = TestApp::start().await;
    let theirs = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app
        .get("/")
        .header("traceparent", format!("00-{theirs}-00f067aa0ba902b7-01"));
    let response = request.send().await.unwrap();
    let id = trace_id_of(&response);
    assert_ne!(id, theirs);
    let shown = trace(&app, &id).await.to_string();
    assert!(shown.contains(theirs), "{shown}");
    for broken in [
        "",
        "00-x-y-01",
        "\u{7f}",
        "00-4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        if let Ok(value) = reqwest::header::HeaderValue::from_bytes(broken.as_bytes()) {
            let response = app
                .get("/")
                .header("traceparent", value)
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 200, "{broken:?}");
        }
    }
    app.finish().await;
}
