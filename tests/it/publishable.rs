//! Keys that stand in pages for all to see.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::app::TestApp;
use crate::spans::{failing_trace, new_trace_id};

const ORIGIN: &str = "https://app.example.com";

async fn send(app: &TestApp, key: &str, origin: Option<&str>) -> Response {
    report(app, key, origin, &app.report())
        .send()
        .await
        .unwrap()
}

fn report(app: &TestApp, key: &str, origin: Option<&str>, report: &Value) -> RequestBuilder {
    let request = app.post("/api/v1/tickets").bearer_auth(key).json(report);
    match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    }
}

async fn preflight(app: &TestApp, origin: &str) -> Response {
    app.http
        .request(Method::OPTIONS, app.url("/api/v1/tickets"))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
        .send()
        .await
        .unwrap()
}

fn cors_headers(response: &Response) -> Vec<String> {
    let names = response.headers().keys().map(ToString::to_string);
    names
        .filter(|name| name.starts_with("access-control"))
        .collect()
}

#[tokio::test]
async fn a_publishable_key_is_made_listed_and_revoked_on_the_command_line() {
    let app = TestApp::start().await;
    let create = ["key", "create", "--account", "shop", "--publishable"];
    let origins = "https://app.example.com,https://www.Example.com/";
    let key = app
        .cli(&[&create[..], &["--origin", origins]].concat())
        .await;
    let key = key.trim();
    assert!(key.starts_with("td_pub_") && key.len() == 55, "{key}");
    let listed = app.cli(&["key", "list"]).await;
    let line = listed
        .lines()
        .find(|line| line.contains("  shop  "))
        .unwrap();
    assert!(line.contains("publishable for https://app.example.com,https://www.example.com"));
    assert_eq!(send(&app, key, Some(ORIGIN)).await.status(), 201);
    let id = line.split(' ').next().unwrap();
    app.cli(&["key", "revoke", id]).await;
    assert_eq!(send(&app, key, Some(ORIGIN)).await.status(), 401);
    assert_eq!(preflight(&app, ORIGIN).await.status(), 403);

    for wrong in [
        &create[..],
        &[&create[..], &["--origin", "app.example.com"]].concat(),
        &[&create[..], &["--origin", "https://app.example.com/x"]].concat(),
        &[&create[..], &["--origin", ORIGIN, "--scope", "admin"]].concat(),
        &[
            "key",
            "create",
            "--account",
            "shop",
            "--scope",
            "admin",
            "--origin",
            ORIGIN,
        ],
    ] {
        let output = app.run(wrong, "").await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    app.finish().await;
}

#[tokio::test]
async fn it_opens_tickets_from_its_own_pages_and_does_nothing_else() {
    let app = TestApp::start().await;
    let key = app
        .publishable_key(&[ORIGIN, "http://localhost:3000"])
        .await;
    for origin in [ORIGIN, "http://localhost:3000"] {
        let response = send(&app, &key, Some(origin)).await;
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
        let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
        assert!(vary.iter().any(|value| *value == "origin"), "{vary:?}");
    }
    for origin in [
        None,
        Some("https://evil.example"),
        Some("null"),
        Some("https://app.example.com.evil.example"),
    ] {
        let response = send(&app, &key, origin).await;
        assert_eq!(response.status(), 403, "{origin:?}");
        assert_eq!(cors_headers(&response), Vec::<String>::new());
        assert!(response.text().await.unwrap().contains("origins"));
    }
    for path in [
        "/api/v1/tickets",
        "/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        let request = app.get(path).bearer_auth(&key).header("origin", ORIGIN);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 403, "{path}");
        assert_eq!(cors_headers(&response), Vec::<String>::new());
        let text = response.text().await.unwrap();
        assert!(text.contains("can only open tickets"), "{text}");
    }
    let export = app.post("/v1/traces").bearer_auth(&key);
    let export = export.header("content-type", "application/json").body("{}");
    assert_eq!(export.send().await.unwrap().status(), 403);
    // The same bytes as a secret key are no key.
    let as_secret = key.replace("td_pub_", "td_");
    assert_eq!(send(&app, &as_secret, Some(ORIGIN)).await.status(), 401);
    app.finish().await;
}

#[tokio::test]
async fn its_answer_tells_no_more_than_the_reporters_page() {
    let app = TestApp::start().await;
    let key = app.publishable_key(&[ORIGIN]).await;
    let trace_id = new_trace_id();
    app.send_spans(&failing_trace(&trace_id)).await;
    let response = report(&app, &key, Some(ORIGIN), &app.report_of(&trace_id));
    let response = response.send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    let mut names: Vec<_> = body.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["created_at", "reference", "status", "trace", "url"]);
    assert_eq!(body["url"], location);
    let trace = body["trace"].as_object().unwrap();
    assert_eq!(trace.keys().collect::<Vec<_>>(), ["failure", "state"]);
    assert_eq!(trace["failure"]["class"], "provider_error");
    let page = app.http.get(location).send().await.unwrap();
    assert!(
        page.text()
            .await
            .unwrap()
            .contains(body["reference"].as_str().unwrap())
    );
    app.mail().await;
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_can_be_read_by_the_page() {
    let app = TestApp::start().await;
    let key = app.publishable_key(&[ORIGIN]).await;
    let mut wrong = app.report();
    wrong["page_url"] = "nowhere".into();
    let response = report(&app, &key, Some(ORIGIN), &wrong)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["access-control-allow-origin"], ORIGIN);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["errors"][0]["field"], "page_url");
    let keyed = report(&app, &key, Some(ORIGIN), &app.report()).header("idempotency-key", "1");
    assert_eq!(keyed.send().await.unwrap().status(), 400);
    while app.state.limits.page_report.check("127.0.0.1").is_ok() {}
    let response = send(&app, &key, Some(ORIGIN)).await;
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.headers()["access-control-allow-origin"], ORIGIN);
    app.finish().await;
}

#[tokio::test]
async fn browsers_are_told_beforehand_and_secret_keys_get_no_such_headers() {
    let app = TestApp::start().await;
    assert_eq!(preflight(&app, ORIGIN).await.status(), 403);
    app.publishable_key(&[ORIGIN]).await;
    let response = preflight(&app, ORIGIN).await;
    assert_eq!(response.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-methods", "POST"),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
        ("access-control-max-age", "7200"),
        ("vary", "origin"),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    let response = preflight(&app, "https://evil.example").await;
    assert_eq!(response.status(), 403);
    assert_eq!(cors_headers(&response), Vec::<String>::new());
    let response = send(&app, &app.admin_key, Some(ORIGIN)).await;
    assert_eq!(response.status(), 201);
    assert_eq!(cors_headers(&response), Vec::<String>::new());
    app.finish().await;
}
