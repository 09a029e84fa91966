//! Reports of programs: `POST /api/v1/tickets`, and the tickets they open.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use reqwest::Response;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tracedesk::access::api_key::Scope;
use tracedesk::clock::Clock;

use crate::app::{TestApp, noon};
use crate::spans::{failing_trace, new_trace_id};

/// Cases of the property test; each is a request.
const CASES: u32 = 300;

/// The body of a problem, with its status, shape and trace ID checked.
async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let trace_id = response.headers()["trace-id"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["trace_id"], trace_id);
    assert_eq!(trace_id.len(), 32);
    for field in ["type", "title", "detail"] {
        assert!(!body[field].as_str().unwrap().is_empty(), "{body}");
    }
    body
}

fn fields_of(problem: &Value) -> BTreeSet<String> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect()
}

async fn send_raw(app: &TestApp, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
    app.post("/api/v1/tickets")
        .bearer_auth(&app.admin_key)
        .header("content-type", content_type)
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn send_keyed(app: &TestApp, key: &str, report: &Value) -> Response {
    app.post("/api/v1/tickets")
        .bearer_auth(&app.admin_key)
        .header("idempotency-key", key)
        .json(report)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_report_opens_a_ticket_that_tells_what_failed() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    app.send_spans(&failing_trace(&trace_id)).await;
    let response = app.send_report(&app.report_of(&trace_id)).await;
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let ticket: Value = response.json().await.unwrap();
    assert_eq!(
        location,
        format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap())
    );
    assert_eq!(ticket["status"], "open");
    let reference = ticket["reference"].as_str().unwrap();
    assert!(reference.starts_with("TD-") && reference.len() == 9);
    assert_eq!(ticket["trace"]["id"], trace_id.as_str());
    assert_eq!(ticket["trace"]["state"], "linked");
    assert_eq!(ticket["trace"]["failure"]["class"], "provider_error");
    assert!(
        ticket["trace"]["failure"]["advice"]
            .as_str()
            .unwrap()
            .contains("model")
    );
    let url = ticket["url"].as_str().unwrap();
    let path = url.strip_prefix(&app.address).unwrap();
    assert!(path.starts_with("/t/"));
    assert_eq!(app.get(path).send().await.unwrap().status(), 200);

    let shown: Value = app.read(&location).await.json().await.unwrap();
    assert_eq!(shown["action"], "uploading a 40-page PDF");
    assert_eq!(shown["email"], "reporter@example.com");
    assert_eq!(shown["trace"], ticket["trace"]);
    assert!(
        shown.get("url").is_none(),
        "the reporter's link is shown once"
    );

    let mail = app.mail().await;
    assert!(
        mail.subject.contains(reference) && mail.subject.contains("uploading a 40-page PDF"),
        "{}",
        mail.subject
    );
    assert!(
        mail.text.contains("model overloaded") && mail.text.contains("llm-gateway"),
        "{}",
        mail.text
    );
    assert!(mail.html.contains("model overloaded"));
    let desk_url = format!(
        "{}/desk/tickets/{}",
        app.address,
        ticket["id"].as_str().unwrap()
    );
    assert!(mail.text.contains(&desk_url) && mail.html.contains(&desk_url));
    app.finish().await;
}

#[tokio::test]
async fn a_ticket_waits_for_its_trace_and_one_without_an_id_does_not() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let waiting = app.open_ticket(&app.report_of(&trace_id)).await;
    assert_eq!(waiting["trace"]["id"], trace_id.as_str());
    assert_eq!(waiting["trace"]["state"], "waiting");
    assert_eq!(waiting["trace"]["failure"], Value::Null);
    let none = app.open_ticket(&app.report()).await;
    assert_eq!(
        none["trace"],
        json!({"id": null, "state": "none", "failure": null})
    );
    app.send_spans(&failing_trace(&trace_id)).await;
    let linked = app.ticket(waiting["id"].as_str().unwrap()).await;
    assert_eq!(linked["trace"]["state"], "linked");
    app.finish().await;
}

#[tokio::test]
async fn every_invalid_field_is_named_at_once() {
    let app = TestApp::start().await;
    let report = json!({"action": "x", "page_url": "docs/7", "occurred_at": "today", "kind": "chit", "email": "me",
        "trace_id": "none"});
    let body = problem(app.send_report(&report).await, 422).await;
    let all = [
        "action",
        "page_url",
        "occurred_at",
        "kind",
        "email",
        "trace_id",
    ];
    assert_eq!(fields_of(&body), all.map(str::to_owned).into());

    let required = ["action", "occurred_at", "page_url"].map(str::to_owned);
    let body = problem(app.send_report(&json!({})).await, 422).await;
    assert_eq!(fields_of(&body), required.clone().into());
    let report = json!({"action": null, "page_url": "", "occurred_at": " "});
    let body = problem(app.send_report(&report).await, 422).await;
    assert_eq!(fields_of(&body), required.into());

    let mut wrong_types = Map::new();
    for field in all {
        wrong_types.insert(field.to_owned(), json!(7));
    }
    wrong_types.insert("attachments".to_owned(), json!([{"name": "x"}]));
    let body = problem(app.send_report(&wrong_types.into()).await, 422).await;
    assert_eq!(fields_of(&body).len(), all.len() + 1);
    assert_eq!(app.count_tickets().await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_wrong_type_does_not_hide_what_else_is_wrong() {
    let app = TestApp::start().await;
    let report = json!({"action": 7, "page_url": "docs", "occurred_at": "2026-11-25T10:30:00Z", "email": []});
    let body = problem(app.send_report(&report).await, 422).await;
    let fields = fields_of(&body);
    for field in ["action", "page_url", "email"] {
        assert!(fields.contains(field), "{body}");
    }
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), fields.len(), "each field once: {body}");
    app.finish().await;
}

#[tokio::test]
async fn bodies_that_are_no_report_are_refused_with_a_reason() {
    let app = TestApp::start().await;
    for body in [
        "",
        "{",
        "nonsense",
        "[]",
        "7",
        "\"text\"",
        "null",
        "{\"action\": \"\\ud800\"}",
    ] {
        problem(send_raw(&app, "application/json", body).await, 400).await;
    }
    problem(
        send_raw(&app, "application/json", vec![b'[', 0xff]).await,
        400,
    )
    .await;
    let deep = "[".repeat(100_000);
    problem(send_raw(&app, "application/json", deep).await, 400).await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        problem(send_raw(&app, content_type, "{}").await, 415).await;
    }
    let large = format!("{{\"action\": \"{}\"}}", "a".repeat(300_000));
    let body = problem(send_raw(&app, "application/json", large).await, 413).await;
    assert!(
        body["detail"].as_str().unwrap().contains("256 KiB"),
        "names the cap: {body}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_form_of_a_program_is_taken_too() {
    let app = TestApp::start().await;
    let report = app.report();
    let mut form = reqwest::multipart::Form::new();
    for (field, value) in report.as_object().unwrap() {
        form = form.text(field.clone(), value.as_str().unwrap().to_owned());
    }
    let request = app.post("/api/v1/tickets").bearer_auth(&app.admin_key);
    let response = request.multipart(form).send().await.unwrap();
    assert_eq!(response.status(), 201);
    app.finish().await;
}

/// Texts that break what is careless.
const HOSTILE: [&str; 12] = [
    "\0",
    "abc\0def",
    "\u{1}\u{2}\u{1b}[31m\u{7f}\u{9f}",
    "\u{202e}\u{2066}abc",
    "\u{feff}\u{200b}\u{200d}",
    "a\r\nBcc: x@example.com\r\n\r\nhello",
    "<script>alert(1)</script>\"'&",
    "{{ 7 * 7 }} ${jndi:x} %s %n",
    "'; DROP TABLE tickets; --",
    "\u{10ffff}\u{fffe}\u{e000}",
    "https://\0example.com/\0",
    "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦",
];

#[tokio::test]
async fn no_text_anywhere_is_more_than_refused() {
    let app = TestApp::start().await;
    for text in HOSTILE {
        for field in [
            "action",
            "page_url",
            "occurred_at",
            "kind",
            "email",
            "trace_id",
            "other",
        ] {
            let mut report = app.report();
            let is_action = field == "action";
            report[field] = if is_action {
                format!("abc {text}")
            } else {
                text.to_owned()
            }
            .into();
            let status = app.send_report(&report).await.status();
            let expected: &[u16] = if is_action { &[201] } else { &[201, 422] };
            assert!(
                expected.contains(&status.as_u16()),
                "{field} {text:?}: {status}"
            );
        }
        let path = format!("/api/v1/tickets?cursor={text}&status={text}&limit={text}");
        assert_eq!(app.read(&path).await.status(), 400, "{text:?}");
        for path in [
            "/api/v1/tickets/",
            "/api/v1/traces/",
            "/t/",
            "/desk/tickets/",
        ] {
            let mut url = reqwest::Url::parse(&app.url(path)).unwrap();
            url.path_segments_mut().unwrap().pop().push(text);
            let request = app.http.get(url).bearer_auth(&app.admin_key);
            let status = request.send().await.unwrap().status().as_u16();
            assert!(
                [303, 400, 404].contains(&status),
                "{path} {text:?}: {status}"
            );
        }
        let keyed = send_keyed_raw(&app, text).await;
        assert!([201, 400, 422].contains(&keyed), "{text:?}: {keyed}");
    }
    app.finish().await;
}

async fn send_keyed_raw(app: &TestApp, key: &str) -> u16 {
    let Ok(value) = reqwest::header::HeaderValue::from_bytes(key.as_bytes()) else {
        return 400;
    };
    let request = app.post("/api/v1/tickets").bearer_auth(&app.admin_key);
    let request = request.header("idempotency-key", value).json(&app.report());
    request.send().await.unwrap().status().as_u16()
}

/// Any JSON value of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(&HOSTILE[..]).prop_map(Value::from),
        Just(json!("https://app.example.com/docs/7")),
        Just(json!("2026-11-25T11:59:00Z")),
        Just(json!("4bf92f3577b34da6a3ce929d0e0e4736")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..3)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn any_report() -> impl Strategy<Value = Value> {
    let names = vec![
        "action",
        "page_url",
        "occurred_at",
        "kind",
        "email",
        "trace_id",
        "attachments",
    ];
    let changes = proptest::collection::vec((proptest::sample::select(names), any_json()), 0..4);
    changes.prop_map(|changes| {
        let mut report = json!({"action": "asking", "page_url": "https://app.example.com/",
            "occurred_at": "2026-11-25T11:59:00Z"});
        for (field, value) in changes {
            report[field] = value;
        }
        report
    })
}

#[test]
fn whatever_is_sent_is_taken_or_refused() {
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::builder().clock(Clock::fixed(noon())).start());
    let mut config = ProptestConfig::with_cases(CASES);
    config.failure_persistence = None;
    let mut taken = 0;
    let mut sent = 0;
    let outcome = TestRunner::new(config).run(&any_report(), |report| {
        let status = runtime.block_on(app.send_report(&report)).status();
        prop_assert!([201, 422].contains(&status.as_u16()), "{status}: {report}");
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        taken += app.count_tickets().await;
        sent += i64::from(CASES);
        assert!(
            taken > 20 && taken < sent,
            "both outcomes were tried: {taken} of {sent}"
        );
        app.finish().await;
    });
}

#[tokio::test]
async fn a_retry_with_its_key_gets_the_first_answer() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    app.send_spans(&failing_trace(&trace_id)).await;
    let report = app.report_of(&trace_id);
    let first = send_keyed(&app, "k-1", &report).await;
    assert_eq!(first.status(), 201);
    let location = first.headers()["location"].clone();
    let first = first.text().await.unwrap();
    let again = send_keyed(&app, "k-1", &report).await;
    assert_eq!(again.status(), 201);
    assert_eq!(again.headers()["location"], location);
    assert_eq!(again.text().await.unwrap(), first);
    assert_eq!(app.count_tickets().await, 1);

    let mut other = report.clone();
    other["action"] = "something else".into();
    problem(send_keyed(&app, "k-1", &other).await, 422).await;
    let refused = send_keyed(&app, &"k".repeat(256), &report).await;
    problem(refused, 400).await;

    // Keys of another API key are others.
    let key = app.key(&[Scope::TicketsWrite]).await;
    let request = app.post("/api/v1/tickets").bearer_auth(key);
    let request = request.header("idempotency-key", "k-1").json(&other);
    assert_eq!(request.send().await.unwrap().status(), 201);
    assert_eq!(app.count_tickets().await, 2);
    app.finish().await;
}

#[tokio::test]
async fn a_refused_report_does_not_use_up_its_key() {
    let app = TestApp::start().await;
    let mut report = app.report();
    report["email"] = "me".into();
    problem(send_keyed(&app, "k", &report).await, 422).await;
    report["email"] = "me@example.com".into();
    assert_eq!(send_keyed(&app, "k", &report).await.status(), 201);
    app.finish().await;
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_opens_a_ticket() {
    let app = TestApp::start().await;
    let report = app.report();
    let sends = (0..20).map(|_| send_keyed(&app, "at once", &report));
    let mut answers = BTreeSet::new();
    for response in futures_util::future::join_all(sends).await {
        match response.status().as_u16() {
            201 => drop(answers.insert(response.text().await.unwrap())),
            409 => {
                assert!(response.headers().contains_key("retry-after"));
                problem(response, 409).await;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(app.count_tickets().await, 1);
    let again = send_keyed(&app, "at once", &report).await;
    assert!(answers.contains(&again.text().await.unwrap()));
    app.finish().await;
}

#[tokio::test]
async fn an_attempt_that_was_killed_can_be_repeated() {
    let app = TestApp::start().await;
    // Whoever holds the key's lock is at work; a killed attempt lets go of it with its connection.
    let mut killed = app.pool.acquire().await.unwrap().detach();
    let key_id: String = sqlx::query_scalar("SELECT id::text FROM api_keys")
        .fetch_one(&mut killed)
        .await
        .unwrap();
    for statement in [
        "BEGIN",
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
    ] {
        let query = sqlx::query(statement);
        let query = if statement == "BEGIN" {
            query
        } else {
            query.bind(format!("{key_id}/k"))
        };
        query.execute(&mut killed).await.unwrap();
    }
    problem(send_keyed(&app, "k", &app.report()).await, 409).await;
    drop(killed);
    let report = app.report();
    crate::app::eventually("the key is free", async || {
        send_keyed(&app, "k", &report).await.status() == 201
    })
    .await;
    assert_eq!(app.count_tickets().await, 1);
    app.finish().await;
}

async fn page(app: &TestApp, query: &str) -> (Vec<String>, Option<String>) {
    let response = app.read(&format!("/api/v1/tickets?{query}")).await;
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    let ids = body["tickets"].as_array().unwrap().iter();
    let ids = ids
        .map(|ticket| ticket["id"].as_str().unwrap().to_owned())
        .collect();
    (ids, body["next_cursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn pages_of_tickets_stay_put_while_new_ones_arrive() {
    // One moment for all: the order among equal times must hold too.
    let app = TestApp::builder().clock(Clock::fixed(noon())).start().await;
    let mut opened = Vec::new();
    for _ in 0..7 {
        let ticket = app.open_ticket(&app.report()).await;
        opened.push(ticket["id"].as_str().unwrap().to_owned());
    }
    opened.reverse();
    let (first, cursor) = page(&app, "limit=3").await;
    assert_eq!(first, opened[..3]);
    app.open_ticket(&app.report()).await;
    let (second, cursor) = page(&app, &format!("limit=3&cursor={}", cursor.unwrap())).await;
    assert_eq!(second, opened[3..6]);
    app.open_ticket(&app.report()).await;
    let (third, cursor) = page(&app, &format!("limit=3&cursor={}", cursor.unwrap())).await;
    assert_eq!(third, opened[6..]);
    assert_eq!(cursor, None);

    let desk = app.sign_in("ada@example.com").await;
    let path = format!("/desk/tickets/{}/closure", opened[0]);
    assert_eq!(desk.submit(&path, &[]).await.status(), 303);
    assert_eq!(page(&app, "status=solved").await.0, opened[..1]);
    assert_eq!(page(&app, "status=open").await.0.len(), 8);
    let body = problem(
        app.read("/api/v1/tickets?status=x&limit=0&cursor=y").await,
        400,
    )
    .await;
    assert_eq!(fields_of(&body).len(), 3);
    app.finish().await;
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_possible_is_said() {
    let app = TestApp::start().await;
    for path in [
        "/api/v1/tickets/0193f5f0-0000-7000-8000-000000000000",
        "/api/v1/tickets/7",
        "/api/v1/nothing",
    ] {
        problem(app.read(path).await, 404).await;
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/tickets", "GET, POST, OPTIONS"),
        ("POST", "/api/v1/traces/1", "GET"),
        ("PUT", "/api/v1/tickets/1", "GET"),
    ] {
        let request = app.http.request(method.parse().unwrap(), app.url(path));
        let response = request.bearer_auth(&app.admin_key).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allowed);
        problem(response, 405).await;
    }
    for path in ["/", "/api/v1/tickets", "/livez", "/desk/sign-in"] {
        let request = app.http.head(app.url(path)).bearer_auth(&app.admin_key);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.bytes().await.unwrap().is_empty(), "{path}");
    }
    app.finish().await;
}

#[tokio::test]
async fn keys_do_what_their_scopes_say() {
    let app = TestApp::start().await;
    let writer = app.key(&[Scope::TicketsWrite]).await;
    let reader = app.key(&[Scope::TicketsRead]).await;
    let report = app.report();
    let post = app.post("/api/v1/tickets").json(&report);
    let refused = post.bearer_auth(&reader).send().await.unwrap();
    let body = problem(refused, 403).await;
    assert!(body["detail"].as_str().unwrap().contains("tickets:write"));
    let post = app.post("/api/v1/tickets").json(&report);
    assert_eq!(
        post.bearer_auth(&writer).send().await.unwrap().status(),
        201
    );
    for path in ["/api/v1/tickets", "/api/v1/tickets/1"] {
        let refused = app.get(path).bearer_auth(&writer).send().await.unwrap();
        problem(refused, 403).await;
    }
    let refused = app.get("/api/v1/traces/1").bearer_auth(&reader);
    problem(refused.send().await.unwrap(), 403).await;
    app.finish().await;
}
