//! The public form, in the hands of people: mistakes, no scripts, no mouse, other time zones.

use chrono::{DateTime, TimeDelta, Utc};
use fantoccini::key::Key;
use serde_json::json;

use super::driver::Browser;
use crate::app::TestApp;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Each field that a person types into, something that is refused there, and a word of what is then said.
const MISTAKES: [(&str, &str, &str); 5] = [
    ("action", "ab", "at least 3"),
    ("page_url", "app/docs", "http"),
    ("occurred_at", "2031-01-01T10:00", "future"),
    ("trace_id", "no idea, sorry", "trace ID"),
    ("email", "lena@", "address"),
];

async fn make_every_mistake(browser: &Browser) {
    browser.click("label:has(#when-at)").await;
    for (field, typed, _) in MISTAKES {
        browser.pick(&format!("#{field}"), typed).await;
    }
    browser.click("#report button.primary").await;
    browser.find("#errors").await;
}

/// Every mistake is named beside its field and in the summary, and nothing that was typed is lost.
async fn assert_every_mistake_is_told(browser: &Browser) {
    let summary = browser.text("#errors").await;
    assert!(summary.contains("5 things need correcting"), "{summary}");
    for (field, typed, said) in MISTAKES {
        assert_eq!(browser.value(&format!("#{field}")).await, typed);
        let error = browser.text(&format!("#{field}-error")).await;
        assert!(error.contains(said), "{field}: {error}");
        assert!(summary.contains(&error), "{field}: {summary}");
        let described = format!(
            "document.getElementById('{field}').getAttribute('aria-describedby').split(' ').includes('{field}-error')"
        );
        assert_eq!(browser.js(&described).await, true, "{field}");
        let invalid = format!("#{field}[aria-invalid=true]");
        assert_eq!(browser.count(&invalid).await, 1, "{field}");
        let below = format!(
            "document.getElementById('{field}-error').getBoundingClientRect().top >= document.getElementById('{field}').getBoundingClientRect().bottom"
        );
        assert_eq!(browser.js(&below).await, true, "{field}");
    }
    assert!(browser.title().await.starts_with("Please correct: "));
}

async fn correct_every_mistake(browser: &Browser) {
    browser.fill("#action", "uploading a 40-page PDF").await;
    browser
        .fill("#page_url", "https://app.example.com/docs/7")
        .await;
    browser.click("label:has(#when-hour)").await;
    browser.fill("#trace_id", &TRACE_ID.to_uppercase()).await;
    browser.fill("#email", "lena@example.org").await;
    browser.click("#report button.primary").await;
    browser.until_shown("Thank you, your report is in.").await;
}

async fn tickets(app: &TestApp) -> Vec<(String, DateTime<Utc>)> {
    sqlx::query_as("SELECT action, occurred_at FROM tickets")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn mistakes_are_told_beside_their_fields_and_nothing_typed_is_lost() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    make_every_mistake(&browser).await;
    assert_every_mistake_is_told(&browser).await;
    assert_eq!(browser.focused().await, "errors");
    browser.click("#errors a[href='#email']").await;
    assert_eq!(browser.focused().await, "email");
    assert_eq!(tickets(&app).await.len(), 0);
    correct_every_mistake(&browser).await;
    let sent = tickets(&app).await;
    assert_eq!(sent.len(), 1);
    let since = app.state.clock.now() - sent[0].1;
    assert!(
        since > TimeDelta::minutes(29) && since < TimeDelta::minutes(31),
        "{since}"
    );
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_form_needs_no_script() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.scripts(false).await;
    browser.goto(app.url("/")).await;
    browser.click("label:has(#when-at)").await;
    browser.until_shown("Give it in UTC.").await;
    make_every_mistake(&browser).await;
    assert_every_mistake_is_told(&browser).await;
    assert_eq!(browser.focused().await, "errors");
    correct_every_mistake(&browser).await;
    // The same page takes a reply without a script, too.
    browser.fill("#reply", "It happens with every PDF.").await;
    browser.click(".reply button.primary").await;
    browser.find(".messages .said").await;
    assert_eq!(
        browser.text(".messages .said .words").await,
        "It happens with every PDF."
    );
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    browser.tab_to("action").await;
    browser.type_text("running the Blueprint workflow").await;
    browser.tab_to("page_url").await;
    browser.type_text("https://app.example.com/flows/3").await;
    browser.tab_to("when-now").await;
    browser.press(&[Key::Right]).await;
    assert_eq!(browser.focused().await, "when-hour");
    browser.tab_to("kind-chat").await;
    browser.press(&[Key::Right, Key::Right]).await;
    browser.tab_to("trace_id").await;
    browser.type_text(TRACE_ID).await;
    // Enter in a field sends the report, and does not press "Check", which comes first on the page.
    browser.press(&[Key::Enter]).await;
    browser.until_shown("Thank you, your report is in.").await;
    let sent: (String, String) = sqlx::query_as("SELECT action, kind::text FROM tickets")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(
        sent,
        (
            "running the Blueprint workflow".to_owned(),
            "workflow".to_owned()
        )
    );
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn check_reads_the_trace_id_back_and_sends_nothing() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    browser.fill("#action", "uploading a 40-page PDF").await;
    browser.click("label:has(#kind-upload)").await;
    let header = format!(
        "traceparent: 00-{}-00f067aa0ba902b7-01",
        TRACE_ID.to_uppercase()
    );
    browser.fill("#trace_id", &header).await;
    browser.click("button[value=check]").await;
    let read = browser.text("#trace_id-read").await;
    assert_eq!(
        read,
        format!("We read this as a traceparent header: {TRACE_ID}.")
    );
    assert_eq!(browser.value("#action").await, "uploading a 40-page PDF");
    assert_eq!(browser.value("#trace_id").await, header);
    assert_eq!(browser.count("#kind-upload:checked").await, 1);
    assert_eq!(browser.count("[aria-invalid]").await, 0);
    browser.fill("#trace_id", "it just broke").await;
    browser.click("button[value=check]").await;
    browser.find("#trace_id-error").await;
    assert_eq!(browser.focused().await, "trace_id");
    assert_eq!(browser.count(".field-error").await, 1);
    assert_eq!(browser.count("#trace_id-read").await, 0);
    assert_eq!(tickets(&app).await.len(), 0);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_picked_time_is_the_reporters_own() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.time_zone("Asia/Kathmandu").await;
    browser.goto(app.url("/")).await;
    browser.fill("#action", "uploading a 40-page PDF").await;
    browser
        .fill("#page_url", "https://app.example.com/docs/7")
        .await;
    browser.click("label:has(#when-at)").await;
    // The picker starts at now, as the reporter's clock shows it.
    let local = browser.value("#occurred_at").await;
    let east = app.state.clock.now() + TimeDelta::minutes(5 * 60 + 45);
    assert_eq!(local[..10], east.format("%Y-%m-%d").to_string());
    let picked = (east - TimeDelta::hours(3))
        .format("%Y-%m-%dT%H:%M")
        .to_string();
    browser.pick("#occurred_at", &picked).await;
    browser.click("#report button.primary").await;
    browser.until_shown("Thank you, your report is in.").await;
    let since = app.state.clock.now() - tickets(&app).await[0].1;
    assert!(
        (since - TimeDelta::hours(3)).num_minutes().abs() <= 1,
        "{since}"
    );
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_link_can_fill_the_form() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    let query =
        format!("/?trace_id={TRACE_ID}&kind=chat&page_url=https%3A%2F%2Fapp.example.com%2F");
    browser.goto(app.url(&query)).await;
    assert_eq!(browser.value("#trace_id").await, TRACE_ID);
    assert_eq!(browser.value("#page_url").await, "https://app.example.com/");
    assert_eq!(browser.count("#kind-chat:checked").await, 1);
    assert_eq!(
        browser
            .js("document.querySelectorAll('.field-error').length")
            .await,
        json!(0)
    );
    browser.close().await;
    app.finish().await;
}
