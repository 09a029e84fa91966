//! The public form without a script, and the page that it leads to.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Response;
use reqwest::multipart::Form;
use tracedesk::clock::Clock;

use crate::app::{TestApp, between, noon};
use crate::spans::{failing_trace, new_trace_id};

type Fields = BTreeMap<&'static str, String>;

fn valid() -> Fields {
    let fields = [
        ("action", "uploading a 40-page PDF"),
        ("page_url", "https://app.example.com/docs/7"),
        ("when", "now"),
        ("occurred_at", ""),
        ("utc_offset", "60"),
        ("kind", "upload"),
        ("trace_id", ""),
        ("email", "lena@example.com"),
        ("intent", "send"),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

fn with(changes: &[(&'static str, &str)]) -> Fields {
    let mut fields = valid();
    for (name, value) in changes {
        fields.insert(name, (*value).to_owned());
    }
    fields
}

async fn submit(app: &TestApp, fields: &Fields) -> Response {
    let mut fields = fields.clone();
    fields.insert("seal", app.seal(TimeDelta::minutes(1)).await);
    let form = fields.iter().fold(Form::new(), |form, (name, value)| {
        form.text(*name, value.clone())
    });
    let request = app.post("/tickets").multipart(form);
    request.send().await.unwrap()
}

/// Sends a valid form; the path of the ticket's page, without its query.
async fn opened(app: &TestApp, fields: &Fields) -> String {
    let response = submit(app, fields).await;
    assert_eq!(response.status(), 303);
    let location = response.headers()["location"].to_str().unwrap();
    let path = location.strip_prefix(&app.address).unwrap();
    let (path, query) = path.split_once('?').unwrap();
    assert!(path.starts_with("/t/") && query == "sent=1", "{location}");
    path.to_owned()
}

async fn page(app: &TestApp, path: &str) -> String {
    let response = app.get(path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

async fn occurred_at(app: &TestApp) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT occurred_at FROM tickets ORDER BY id DESC LIMIT 1")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

/// How the page says that the trace ID is read, without markup.
fn read_back(html: &str) -> String {
    let text = between(html, "id=\"trace_id-read\" role=\"status\">", "</p>");
    let text = text.replace("<code>", "").replace("</code>", "");
    text.trim_end_matches('.').to_owned()
}

#[tokio::test]
async fn a_report_leads_to_a_page_that_shows_it() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    app.send_spans(&failing_trace(&trace_id)).await;
    let typed = format!("Something failed. Trace ID: {}", trace_id.to_uppercase());
    let path = opened(&app, &with(&[("trace_id", &typed)])).await;
    let thanks = page(&app, &format!("{path}?sent=1")).await;
    assert!(thanks.contains("Thank you, your report is in."));
    let shown = page(&app, &path).await;
    assert!(!shown.contains("Thank you, your report is in."));
    for words in [
        "uploading a 40-page PDF",
        "https://app.example.com/docs/7",
        "lena@example.com",
    ] {
        assert!(shown.contains(words), "{words}");
    }
    assert!(shown.contains("Switching the model usually fixes this."));
    for inner in ["model overloaded", "llm-gateway", "chat gpt-5"] {
        assert!(!shown.contains(inner), "not for reporters: {inner}");
    }
    assert!(app.mail().await.text.contains("model overloaded"));
    app.finish().await;
}

#[tokio::test]
async fn browsers_without_multipart_are_served_too() {
    let app = TestApp::start().await;
    let response = app.post("/tickets").form(&valid()).send().await.unwrap();
    assert_eq!(response.status(), 303);
    let response = app.post("/tickets").body("x").send().await.unwrap();
    assert_eq!(response.status(), 415);
    let response = app
        .post("/tickets")
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--y\r\nnonsense")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    app.finish().await;
}

#[tokio::test]
async fn a_refused_form_keeps_every_value_and_says_what_is_wrong() {
    let app = TestApp::start().await;
    let fields = with(&[
        ("action", "x"),
        ("page_url", "app/\"docs\""),
        ("when", "at"),
        ("occurred_at", "2999-01-01T10:00"),
        ("kind", "upload"),
        ("trace_id", "no such <b>thing</b>"),
        ("email", "lena@"),
    ]);
    let response = submit(&app, &fields).await;
    assert_eq!(response.status(), 422);
    let html = response.text().await.unwrap();
    for field in ["action", "page_url", "occurred_at", "trace_id", "email"] {
        let error = format!("id=\"{field}-error\"");
        assert!(html.contains(&error), "{field}");
    }
    for value in [
        ">x</textarea>",
        "value=\"app/&#34;docs&#34;\"",
        "value=\"at\" checked",
        "value=\"2999-01-01T10:00\"",
        "value=\"60\"",
        "value=\"upload\" checked",
        "value=\"no such &#60;b&#62;thing&#60;/b&#62;\"",
        "value=\"lena@\"",
    ] {
        assert!(html.contains(value), "{value}");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_check_button_says_how_the_trace_id_is_read_and_sends_nothing() {
    let app = TestApp::start().await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let header = format!("traceparent: 00-{id}-00f067aa0ba902b7-01");
    let response = submit(&app, &with(&[("intent", "check"), ("trace_id", &header)])).await;
    assert_eq!(response.status(), 200);
    let html = response.text().await.unwrap();
    let expected = format!("We read this as a traceparent header: {id}");
    assert_eq!(read_back(&html), expected);
    assert!(
        html.contains("uploading a 40-page PDF"),
        "what was typed is kept"
    );
    let response = submit(&app, &with(&[("intent", "check"), ("trace_id", "hello")])).await;
    assert_eq!(response.status(), 422);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("id=\"trace_id-error\"")
    );
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tickets")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(count, 0);
    app.finish().await;
}

#[tokio::test]
async fn chosen_times_are_the_reporters() {
    let app = TestApp::builder().clock(Clock::fixed(noon())).start().await;
    for (when, typed, expected) in [
        ("now", "", "2026-11-25T12:00:00Z"),
        ("hour", "", "2026-11-25T11:30:00Z"),
        ("today", "", "2026-11-25T05:30:00Z"),
        ("at", "2026-11-25T10:30", "2026-11-25T09:30:00Z"),
    ] {
        opened(&app, &with(&[("when", when), ("occurred_at", typed)])).await;
        let expected: DateTime<Utc> = expected.parse().unwrap();
        assert_eq!(occurred_at(&app).await, expected, "{when}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_link_may_fill_the_form() {
    let app = TestApp::start().await;
    let html = page(
        &app,
        "/?trace_id=4bf92f3577b34da6a3ce929d0e0e4736&page_url=https://app.example.com/%22x&kind=chat",
    )
    .await;
    assert!(html.contains("value=\"4bf92f3577b34da6a3ce929d0e0e4736\""));
    assert!(html.contains("value=\"https://app.example.com/&#34;x\""));
    assert!(html.contains("value=\"chat\" checked"));
    assert!(read_back(&html).starts_with("We read this as a trace ID"));
    app.finish().await;
}

#[tokio::test]
async fn a_reply_joins_the_conversation_and_opens_a_solved_ticket_again() {
    let app = TestApp::start().await;
    let path = opened(&app, &valid()).await;
    let id: String = sqlx::query_scalar("SELECT id::text FROM tickets")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let desk = app.sign_in("ada@example.com").await;
    let closure = format!("/desk/tickets/{id}/closure");
    assert_eq!(desk.submit(&closure, &[]).await.status(), 303);
    assert!(page(&app, &path).await.contains("Solved"));

    let replies = format!("{path}/replies");
    let reply = app
        .post(&replies)
        .form(&[("body", "It is back\0 <i>again</i>")]);
    let response = reply.send().await.unwrap();
    assert_eq!(response.status(), 303);
    let shown = page(&app, &path).await;
    assert!(shown.contains("We are looking at it"));
    assert!(shown.contains("It is back &#60;i&#62;again&#60;/i&#62;"));
    let ticket = app.ticket(&id).await;
    assert_eq!(ticket["status"], "open");

    for empty in ["", " \r\n ", "\0"] {
        let reply = app.post(&replies).form(&[("body", empty)]);
        assert_eq!(reply.send().await.unwrap().status(), 422, "{empty:?}");
    }
    let reply = app.post("/t/nothing/replies").form(&[("body", "hello")]);
    assert_eq!(reply.send().await.unwrap().status(), 404);
    app.finish().await;
}

#[tokio::test]
async fn too_much_is_refused_with_the_cap_and_a_file_with_a_reason() {
    let app = TestApp::start().await;
    let response = submit(&app, &with(&[("action", &"a".repeat(300_000))])).await;
    assert_eq!(response.status(), 413);
    assert!(response.text().await.unwrap().contains("256 KiB"));
    let file = reqwest::multipart::Part::bytes(vec![0; 10]).file_name("shot.png");
    let form = Form::new()
        .text("action", "asking")
        .part("attachments", file);
    let response = app.post("/tickets").multipart(form).send().await.unwrap();
    assert_eq!(response.status(), 422);
    let many = (0..100).fold(Form::new(), |form, n| form.text(format!("f{n}"), "x"));
    let response = app.post("/tickets").multipart(many).send().await.unwrap();
    assert_eq!(response.status(), 400);
    app.finish().await;
}

#[tokio::test]
async fn a_report_that_cannot_be_kept_is_given_back() {
    let app = TestApp::start().await;
    sqlx::query("ALTER TABLE tickets DROP COLUMN page_path")
        .execute(&app.pool)
        .await
        .unwrap();
    let response = submit(&app, &valid()).await;
    assert_eq!(response.status(), 500);
    let html = response.text().await.unwrap();
    assert!(html.contains("Nothing you typed is lost"));
    assert!(html.contains(">uploading a 40-page PDF</textarea>"));
    app.finish().await;
}

#[tokio::test]
async fn another_sites_page_cannot_send_it() {
    let app = TestApp::start().await;
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = app.post("/tickets").header(header, value).form(&valid());
        let status = request.send().await.unwrap().status();
        assert_eq!(status, 403, "{header}: {value}");
    }
    let request = app.post("/tickets").header("origin", &app.address);
    let response = request.form(&valid()).send().await.unwrap();
    assert_eq!(response.status(), 303);
    app.finish().await;
}

#[tokio::test]
async fn pages_are_locked_down() {
    let app = TestApp::start().await;
    let path = opened(&app, &valid()).await;
    for path in ["/", path.as_str(), "/desk/sign-in", "/nothing"] {
        let response = app.get(path).send().await.unwrap();
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(!policy.contains("unsafe-inline"), "{policy}");
        assert!(policy.contains("default-src 'none'") || policy.contains("default-src 'self'"));
        assert!(response.headers().contains_key("x-content-type-options"));
        assert!(
            response.headers().contains_key("referrer-policy"),
            "tokens stay here"
        );
    }
    app.finish().await;
}
