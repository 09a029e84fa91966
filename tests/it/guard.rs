//! Spam and abuse on the form: who is a person is served, what is none is kept for staff to see, and nobody loses what
//! was typed.

use chrono::TimeDelta;
use image::{DynamicImage, ImageFormat};
use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tracedesk::clock::Clock;
use tracedesk::intake::guard::proof::Challenge;

use crate::app::{Desk, TestApp, between, noon};

type Fields = Vec<(&'static str, String)>;

/// A report as a person without scripts sends it.
async fn by_hand(app: &TestApp) -> Fields {
    let seal = app.seal(TimeDelta::minutes(1)).await;
    with_seal(&seal)
}

fn with_seal(seal: &str) -> Fields {
    [
        ("action", "uploading a 40-page PDF"),
        ("page_url", "https://app.example.com/docs/7"),
        ("when", "now"),
        ("email", "lena@example.com"),
        ("intent", "send"),
        ("homepage", ""),
        ("altcha", ""),
        ("seal", seal),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

fn set(fields: &mut Fields, name: &'static str, value: &str) {
    fields.retain(|(known, _)| *known != name);
    fields.push((name, value.to_owned()));
}

async fn send(app: &TestApp, fields: &Fields, files: Vec<Vec<u8>>) -> Response {
    let form = fields.iter().fold(Form::new(), |form, (name, value)| {
        form.text(*name, value.clone())
    });
    let form = files.into_iter().fold(form, |form, file| {
        form.part("screenshots", Part::bytes(file).file_name("shot.png"))
    });
    let request = app.post("/tickets").multipart(form);
    request.send().await.unwrap()
}

/// Sends a report that must be answered as any other; the reporter's page.
async fn answered_as_usual(app: &TestApp, fields: &Fields) -> String {
    let response = send(app, fields, Vec::new()).await;
    assert_eq!(response.status(), 303);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let page = app.http.get(location).send().await.unwrap();
    let html = page.text().await.unwrap();
    assert!(html.contains("Thank you, your report is in."));
    assert!(html.contains("We are looking at it"), "nothing tells spam");
    html
}

/// State and signs of the newest ticket.
async fn judged(app: &TestApp) -> (String, String) {
    sqlx::query_as(
        "SELECT status::text, array_to_string(spam_signs, ',') FROM tickets ORDER BY id DESC LIMIT 1",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

fn is(status: &str, signs: &str) -> (String, String) {
    (status.to_owned(), signs.to_owned())
}

/// A proof of work as the form's script does it.
async fn proof(app: &TestApp) -> String {
    let secret = app.state.secret.get(&app.pool, &app.state.clock).await;
    let challenge = Challenge::new(secret.unwrap(), app.state.clock.now());
    challenge.solve().unwrap()
}

fn png(side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::new_rgb8(side, side)
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

async fn ticket_id(app: &TestApp) -> String {
    sqlx::query_scalar("SELECT id::text FROM tickets ORDER BY id DESC LIMIT 1")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn people_are_served_and_programs_are_told_from_them() {
    let app = TestApp::builder().clock(Clock::fixed(noon())).start().await;
    answered_as_usual(&app, &by_hand(&app).await).await;
    assert_eq!(judged(&app).await, is("open", ""));

    let mut trapped = by_hand(&app).await;
    set(&mut trapped, "homepage", "https://pills.example");
    set(&mut trapped, "altcha", &proof(&app).await);
    answered_as_usual(&app, &trapped).await;
    assert_eq!(judged(&app).await, is("spam", "filled_trap"));

    let mut unopened = by_hand(&app).await;
    set(&mut unopened, "seal", "");
    set(&mut unopened, "altcha", &proof(&app).await);
    answered_as_usual(&app, &unopened).await;
    assert_eq!(judged(&app).await, is("open", ""), "the database was away");
    set(&mut unopened, "altcha", "");
    answered_as_usual(&app, &unopened).await;
    assert_eq!(judged(&app).await, is("open", ""), "a script of their own");

    let fresh = app.seal(TimeDelta::zero()).await;
    answered_as_usual(&app, &with_seal(&fresh)).await;
    assert_eq!(judged(&app).await, is("open", ""), "fast, without a script");
    let mut quick = with_seal(&app.seal(TimeDelta::zero()).await);
    set(&mut quick, "altcha", &proof(&app).await);
    answered_as_usual(&app, &quick).await;
    assert_eq!(
        judged(&app).await,
        is("open", ""),
        "a fast person's browser"
    );

    let mut forged = by_hand(&app).await;
    set(&mut forged, "altcha", "eyJhbGdvcml0aG0iOiJTSEEtMjU2In0=");
    answered_as_usual(&app, &forged).await;
    assert_eq!(judged(&app).await, is("spam", "wrong_proof"));
    app.finish().await;
}

#[tokio::test]
async fn without_a_proof_many_from_one_address_are_spam() {
    let app = TestApp::start().await;
    let fields = by_hand(&app).await;
    for _ in 0..30 {
        answered_as_usual(&app, &fields).await;
        assert_eq!(judged(&app).await, is("open", ""));
    }
    answered_as_usual(&app, &fields).await;
    assert_eq!(judged(&app).await, is("spam", "no_proof,too_many"));
    let mut proven = by_hand(&app).await;
    set(&mut proven, "altcha", &proof(&app).await);
    answered_as_usual(&app, &proven).await;
    assert_eq!(judged(&app).await, is("open", ""));
    app.finish().await;
}

#[tokio::test]
async fn a_proof_counts_once_on_all_nodes_and_a_form_may_go_to_another() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder().clock(clock.clone()).start().await;
    let other = TestApp::builder().pool(app.pool.clone()).clock(clock);
    let mut other = other.start().await;
    let challenge = app.get("/challenge").send().await.unwrap();
    assert_eq!(challenge.headers()["cache-control"], "no-store");
    let challenge: Value = challenge.json().await.unwrap();
    assert_eq!(challenge["algorithm"], "SHA-256");
    for name in ["challenge", "salt", "signature"] {
        assert!(challenge[name].is_string(), "{name}");
    }
    let mut fields = with_seal(&app.seal(TimeDelta::zero()).await);
    set(&mut fields, "altcha", &proof(&app).await);
    answered_as_usual(&other, &fields).await;
    assert_eq!(judged(&app).await, is("open", ""));
    answered_as_usual(&app, &fields).await;
    assert_eq!(judged(&app).await, is("spam", "too_fast,used_proof"));
    other.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn spam_is_shown_to_staff_with_its_reasons_and_can_be_let_through() {
    let app = TestApp::start().await;
    let mut fields = by_hand(&app).await;
    set(&mut fields, "homepage", "https://pills.example");
    let page = answered_as_usual(&app, &fields).await;
    let id = ticket_id(&app).await;
    assert_eq!(app.mails_waiting().await, 0, "nobody is mailed");

    let desk = app.sign_in("ada@example.com").await;
    assert!(!desk.page("/desk").await.contains("uploading a 40-page PDF"));
    let spam = desk.page("/desk?view=spam").await;
    assert!(spam.contains("uploading a 40-page PDF"));
    assert!(spam.contains("was filled"));
    let ticket = desk.page(&format!("/desk/tickets/{id}")).await;
    assert!(ticket.contains("Taken for spam by tracedesk"));
    assert!(ticket.contains("was filled"));

    // The sender's own click does not take it out of the spam.
    let path = between(&page, "action=\"", "/closure\"");
    app.post(&format!("{path}/closure")).send().await.unwrap();
    assert_eq!(judged(&app).await.0, "spam");

    assert_let_through(&app, &desk, &id).await;
    app.finish().await;
}

async fn assert_let_through(app: &TestApp, desk: &Desk, id: &str) {
    let rejection = format!("/desk/tickets/{id}/reopening");
    assert_eq!(desk.submit(&rejection, &[]).await.status(), 303);
    assert_eq!(judged(app).await, is("open", ""));
    assert!(desk.page("/desk").await.contains("uploading a 40-page PDF"));
    assert!(app.mail().await.subject.contains("TD-"));
    app.mail_to("lena@example.com").await;
    let ticket = desk.page(&format!("/desk/tickets/{id}")).await;
    assert!(ticket.contains("Not spam") && ticket.contains("Marked as spam"));
    // Staff's own judgement: marked, and let through again, without a second mail.
    let mark = format!("/desk/tickets/{id}/spam");
    assert_eq!(desk.submit(&mark, &[]).await.status(), 303);
    assert_eq!(judged(app).await, is("spam", ""));
    assert_eq!(desk.submit(&rejection, &[]).await.status(), 303);
    assert_eq!(app.mails_waiting().await, 0);
    assert_eq!(app.mails().len(), 2);
}

#[tokio::test]
async fn a_form_that_lay_open_for_days_asks_to_be_sent_again() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder().clock(clock.clone()).start().await;
    let fields = by_hand(&app).await;
    clock.set(noon() + TimeDelta::hours(25));
    let response = send(&app, &fields, vec![png(4)]).await;
    assert_eq!(response.status(), 422);
    let html = response.text().await.unwrap();
    assert!(html.contains("This page was open for more than a day"));
    assert!(html.contains(">uploading a 40-page PDF</textarea>"));
    assert!(html.contains("/drafts/"), "the picture is kept");
    assert_eq!(app.count_tickets().await, 0);
    let mut again = with_seal(between(&html, "name=\"seal\" value=\"", "\""));
    let draft = between(&html, "name=\"draft\" value=\"", "\"");
    set(&mut again, "draft", draft);
    answered_as_usual(&app, &again).await;
    assert_eq!(judged(&app).await, is("open", ""), "at once");
    assert_eq!(pictures(&app).await, 1);
    app.finish().await;
}

async fn pictures(app: &TestApp) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM attachments WHERE ticket_id IS NOT NULL")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn over_the_limit_the_form_comes_back_with_all_that_was_typed_and_chosen() {
    let app = TestApp::start().await;
    for _ in 0..100 {
        app.state.limits.report.check("127.0.0.1").unwrap();
    }
    let fields = by_hand(&app).await;
    let response = send(&app, &fields, vec![png(4)]).await;
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..60).contains(&wait), "{wait}");
    let html = response.text().await.unwrap();
    assert!(html.contains("Nothing you typed is lost"));
    assert!(html.contains(">uploading a 40-page PDF</textarea>"));
    assert!(html.contains("value=\"lena@example.com\""));
    assert!(html.contains("/drafts/"), "the picture is kept");

    for _ in 0..1_000 {
        if app.state.limits.report_all.check("all").is_err() {
            break;
        }
    }
    let response = app
        .post("/tickets")
        .header("x-forwarded-for", "192.0.2.9")
        .form(&fields)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(app.count_tickets().await, 0);
    app.finish().await;
}

#[tokio::test]
async fn what_is_too_large_or_too_many_costs_nothing_that_was_typed() {
    let app = TestApp::start().await;
    let fields = by_hand(&app).await;
    let huge = vec![0; 60 * 1024 * 1024];
    let response = send(&app, &fields, vec![png(4), huge]).await;
    assert_eq!(response.status(), 413);
    let html = response.text().await.unwrap();
    assert!(html.contains("A screenshot may have 10 MiB at most."));
    assert!(html.contains(">uploading a 40-page PDF</textarea>"));
    assert_eq!(
        html.matches("src=\"/drafts/").count(),
        1,
        "the good one is kept"
    );

    let response = send(&app, &fields, vec![png(4); 6]).await;
    assert_eq!(response.status(), 422);
    let html = response.text().await.unwrap();
    assert!(html.contains("At most 5 screenshots are taken."));
    assert_eq!(html.matches("src=\"/drafts/").count(), 5);

    let response = send(&app, &fields, vec![png(4), b"no picture".to_vec()]).await;
    assert_eq!(response.status(), 422);
    let html = response.text().await.unwrap();
    assert_eq!(html.matches("src=\"/drafts/").count(), 1);
    assert_eq!(app.count_tickets().await, 0);
    app.finish().await;
}

#[tokio::test]
async fn no_room_for_pictures_costs_nothing_that_was_typed() {
    let app = TestApp::start().await;
    let mut held = app.state.uploads.files.reserve();
    while held.grow(1_000_000) {}
    let mut large = png(4);
    large.resize(2_000_000, 0);
    let response = send(&app, &by_hand(&app).await, vec![large]).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let html = response.text().await.unwrap();
    assert!(html.contains("There is no room for pictures just now."));
    assert!(html.contains(">uploading a 40-page PDF</textarea>"));
    drop(held);
    app.finish().await;
}

#[tokio::test]
async fn a_program_gets_the_same_caps_in_the_same_words() {
    let app = TestApp::start().await;
    let report = |files: Vec<Vec<u8>>| {
        let text = Form::new()
            .text("action", "uploading a 40-page PDF")
            .text("page_url", "https://app.example.com/docs/7")
            .text("occurred_at", app.state.clock.now().to_rfc3339());
        let form = files.into_iter().fold(text, |form, file| {
            form.part("attachments", Part::bytes(file).file_name("shot.png"))
        });
        app.post("/api/v1/tickets")
            .bearer_auth(&app.admin_key)
            .multipart(form)
            .send()
    };
    for (files, status, words) in [
        (vec![png(4); 6], 422, "At most 5 screenshots are taken."),
        (
            vec![vec![0; 11 * 1024 * 1024]],
            422,
            "A screenshot may have 10 MiB at most.",
        ),
        (
            vec![vec![0; 60 * 1024 * 1024]],
            413,
            "The body is larger than the 50 MiB allowed.",
        ),
    ] {
        let response = report(files).await.unwrap();
        assert_eq!(response.status(), status, "{words}");
        let body = response.text().await.unwrap();
        assert!(body.contains(words), "{body}");
    }
    assert_eq!(app.count_tickets().await, 0);
    app.finish().await;
}
