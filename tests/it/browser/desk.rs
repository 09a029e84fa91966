//! The desk, in the hands of staff.

use fantoccini::key::Key;
use serde_json::Value;
use tracedesk::access::session::Role;

use super::driver::Browser;
use super::{run_failing_chat, sign_in, signed_in};
use crate::app::TestApp;

const UNKNOWN: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

fn id_of(ticket: &Value) -> &str {
    ticket["id"].as_str().unwrap()
}

async fn open_ticket_page(app: &TestApp, browser: &Browser, ticket: &Value) {
    browser
        .goto(app.url(&format!("/desk/tickets/{}", id_of(ticket))))
        .await;
}

#[tokio::test]
async fn sign_in_refuses_a_wrong_password_and_leads_back_to_where_one_wanted_to_go() {
    let app = TestApp::start().await;
    app.add_staff("ada@example.com", Role::Staff).await;
    let browser = Browser::open().await;
    browser.goto(app.url("/desk/mail")).await;
    browser.fill("#email", "ada@example.com").await;
    browser.fill("#password", "not my password").await;
    browser.click("main button").await;
    assert_eq!(
        browser.text("[role=alert]").await,
        "This address and password do not match. Check both and try again."
    );
    assert_eq!(browser.value("#email").await, "ada@example.com");
    assert_eq!(browser.value("#password").await, "");
    assert_eq!(browser.focused().await, "password");
    sign_in(&browser, "ada@example.com").await;
    assert_eq!(browser.url().await.path(), "/desk/mail");
    browser.click(".account button").await;
    browser.find("#email").await;
    assert_eq!(browser.url().await.path(), "/desk/sign-in");
    browser.goto(app.url("/desk")).await;
    assert_eq!(browser.text("h1").await, "Sign in to the desk");
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_queue_shows_what_failed_and_what_comes_in() {
    let app = TestApp::start().await;
    let browser = signed_in(&app).await;
    browser.goto(app.url("/desk")).await;
    browser.until_shown("No tickets yet").await;
    browser
        .until_shown(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", app.address))
        .await;
    browser.js("window.isSameDocument = true").await;
    let trace_id = run_failing_chat(&app).await;
    app.open_ticket(&app.report_of(&trace_id)).await;
    // It comes without anyone doing anything.
    browser.find(".queue tbody tr").await;
    assert_eq!(browser.js("window.isSameDocument").await, true);
    let row = browser.text(".queue tbody tr").await;
    for words in [
        "Open",
        "uploading a 40-page PDF",
        "app.example.com/docs/7",
        "Provider failed",
        "model-gateway",
        "just now",
    ] {
        assert!(row.contains(words), "no {words} in {row}");
    }
    app.open_ticket(&app.report_of(UNKNOWN)).await;
    app.open_ticket(&app.report()).await;
    browser
        .until("document.querySelectorAll('.queue tbody tr').length === 3")
        .await;
    let texts = browser.text(".queue tbody").await;
    assert!(
        texts.contains("Waiting for its trace") && texts.contains("No trace ID"),
        "{texts}"
    );
    // Newest first, and a keyboard opens it.
    browser.type_text("jj").await;
    browser.press(&[Key::Enter]).await;
    browser.until_shown("Waiting for the trace").await;
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_queue_has_filters_and_pages() {
    let app = TestApp::start().await;
    let mut report = app.report();
    for number in 1..=52 {
        report["action"] = format!("report number {number}").into();
        app.open_ticket(&report).await;
    }
    let browser = signed_in(&app).await;
    browser.goto(app.url("/desk")).await;
    assert_eq!(browser.count(".queue tbody tr").await, 50);
    assert_eq!(
        browser.text(".queue tbody tr .q-open").await,
        "report number 52"
    );
    browser.click(".pager [rel=next]").await;
    browser
        .until("document.querySelectorAll('.queue tbody tr').length === 2")
        .await;
    assert_eq!(browser.count(".pager [rel=next]").await, 0);
    browser.click(".queue tbody tr:last-child .q-open").await;
    browser.until_shown("Mark as spam").await;
    browser.click("form[action$='/spam'] button").await;
    browser.until_shown("Not spam").await;
    browser.goto(app.url("/desk?status=pending")).await;
    browser.until_shown("No pending tickets").await;
    browser.click(".tabs a[href$='=spam']").await;
    browser
        .until("document.querySelectorAll('.queue tbody tr').length === 1")
        .await;
    assert_eq!(browser.text(".q-open").await, "report number 1");
    assert_eq!(browser.text(".tabs [aria-current]").await, "Spam");
    browser.click(".tabs a[href$='=solved']").await;
    browser.until_shown("No solved tickets").await;
    browser.click(".tabs a[href$='=all']").await;
    browser
        .until("document.querySelectorAll('.queue tbody tr').length === 50")
        .await;
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_waiting_ticket_shows_its_trace_when_it_comes() {
    let app = TestApp::start().await;
    let browser = signed_in(&app).await;
    // The program has failed and shown its ID; its spans are still on the way.
    let trace_id = run_failing_chat(&app).await;
    let spans = app
        .read(&format!("/api/v1/traces/{trace_id}"))
        .await
        .text()
        .await
        .unwrap();
    let late = trace_id.replace(&trace_id[..4], "feed");
    let ticket = app.open_ticket(&app.report_of(&late)).await;
    open_ticket_page(&app, &browser, &ticket).await;
    browser.until_shown("Waiting for the trace").await;
    let export = app
        .post("/v1/traces")
        .bearer_auth(&app.admin_key)
        .header("content-type", "application/json")
        .body(spans.replace(&trace_id, &late));
    assert_eq!(export.send().await.unwrap().status(), 200);
    browser.find(".wf-live .is-failing.is-selected").await;
    assert!(browser.text(".failure").await.contains("Provider failed"));
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_waterfall_answers_to_mouse_and_keyboard() {
    let app = TestApp::start().await;
    let trace_id = run_failing_chat(&app).await;
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    let browser = signed_in(&app).await;
    open_ticket_page(&app, &browser, &ticket).await;
    browser.find(".wf-live .is-failing.is-selected").await;
    // The details of the failing span are open, exception and all.
    let panel = browser.text(".wf-panel").await;
    for words in [
        "chat large-2",
        "model-gateway",
        "ProviderOverloaded",
        "Traceback",
        "http.response.status_code",
        "529",
        "large-2",
    ] {
        assert!(panel.contains(words), "no {words} in {panel}");
    }
    // A click shows another span's.
    assert!(browser.text("#wf-7").await.contains("SELECT chunks"));
    browser.click("#wf-7").await;
    browser
        .until("document.querySelector('.wf-panel').innerText.includes('postgresql')")
        .await;
    // Escape closes them, the arrows move, Enter opens them.
    browser.press(&[Key::Escape]).await;
    browser
        .until("document.querySelector('.wf-panel').hidden")
        .await;
    browser.press(&[Key::Down, Key::Enter]).await;
    browser
        .until("document.querySelector('.wf-panel h2').innerText === 'rerank'")
        .await;
    // `n` goes from error to error, and round.
    browser.press(&[Key::Home]).await;
    let mut met = Vec::new();
    for _ in 0..5 {
        browser.type_text("n").await;
        met.push(browser.text(".wf-live .is-selected b").await);
    }
    assert_eq!(
        met,
        [
            "POST /api/chat/messages",
            "POST /v1/complete",
            "chat large-2",
            "chat large-2",
            "send message"
        ]
    );
    fold_and_filter(&browser).await;
    browser.close().await;
    app.finish().await;
}

/// The selection is on the root.
async fn fold_and_filter(browser: &Browser) {
    let rows = "document.querySelectorAll('.wf-live .wf-row').length";
    assert_eq!(browser.js(rows).await, 15);
    browser.press(&[Key::Down, Key::Left]).await;
    assert_eq!(browser.js(rows).await, 2);
    assert!(browser.text(".wf-live .is-selected").await.contains("+13"));
    browser.press(&[Key::Right]).await;
    assert_eq!(browser.js(rows).await, 15);
    browser
        .click(".wf-live .wf-row:nth-child(2) .wf-twist")
        .await;
    assert_eq!(browser.js(rows).await, 2);
    browser.click("[data-act=unfold]").await;
    browser.type_text("/").await;
    browser.type_text("retrieval").await;
    browser
        .until("document.querySelector('.wf-tools output').textContent === '4 of 15 spans'")
        .await;
    // The four, and the three above them that show their place.
    assert_eq!(browser.js(rows).await, 7);
    browser.press(&[Key::Escape]).await;
    assert_eq!(browser.js(rows).await, 15);
}

#[tokio::test]
async fn a_trace_is_readable_without_scripts() {
    let app = TestApp::start().await;
    let trace_id = run_failing_chat(&app).await;
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    let browser = signed_in(&app).await;
    browser.scripts(false).await;
    for page in [
        format!("/desk/tickets/{}", id_of(&ticket)),
        format!("/desk/traces/{trace_id}"),
    ] {
        browser.goto(app.url(&page)).await;
        assert_eq!(browser.count(".wf-static .wf-item").await, 15);
        assert!(
            browser
                .text(".wf-item[open].wf-item > .span-details")
                .await
                .contains("Traceback")
        );
        assert!(browser.text(".is-failing").await.contains("chat large-2"));
        browser.click(".wf-item:nth-child(8) summary").await;
        assert!(
            browser
                .text(".wf-item:nth-child(8) .span-details")
                .await
                .contains("postgresql")
        );
        // What needs a script is not offered.
        assert_eq!(
            browser
                .js("[...document.querySelectorAll('.js-only')].filter(e => e.offsetParent).length")
                .await,
            0
        );
    }
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_search_box_takes_whatever_is_pasted() {
    let app = TestApp::start().await;
    let trace_id = run_failing_chat(&app).await;
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    let reference = ticket["reference"].as_str().unwrap().to_lowercase();
    let browser = signed_in(&app).await;
    let found = format!("/desk/traces/{trace_id}");
    let upper = trace_id.to_uppercase();
    for (typed, path, words) in [
        (
            reference.clone(),
            format!("/desk/tickets/{}", id_of(&ticket)),
            "Link another trace by hand",
        ),
        (trace_id.clone(), found.clone(), "Tickets of this trace"),
        (
            format!("traceparent: 00-{upper}-00f067aa0ba902b7-01"),
            found.clone(),
            "Tickets of this trace",
        ),
        (
            format!("https://jaeger.example.com/trace/{trace_id}?uiFind=x"),
            found,
            "Tickets of this trace",
        ),
        (
            UNKNOWN.to_owned(),
            format!("/desk/traces/{UNKNOWN}"),
            "Nothing is stored of this trace",
        ),
        (
            "what is this".to_owned(),
            "/desk/search".to_owned(),
            "That can't be read as a trace ID",
        ),
        (
            "TD-000000".to_owned(),
            "/desk/search".to_owned(),
            "No ticket has this reference",
        ),
    ] {
        browser.goto(app.url("/desk")).await;
        browser.type_text("/").await;
        browser.type_text(&typed).await;
        browser.press(&[Key::Enter]).await;
        browser.until_shown(words).await;
        assert_eq!(browser.url().await.path(), path, "{typed}");
    }
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_trace_is_linked_by_hand() {
    let app = TestApp::start().await;
    let trace_id = run_failing_chat(&app).await;
    let ticket = app.open_ticket(&app.report()).await;
    let browser = signed_in(&app).await;
    open_ticket_page(&app, &browser, &ticket).await;
    assert_eq!(browser.text("#trace h2").await, "No trace ID was given");
    for (typed, error) in [("nothing like it", "trace ID"), (UNKNOWN, "is stored")] {
        if browser.count(".link-form[open]").await == 0 {
            browser.click(".link-form summary").await;
        }
        browser.fill("#trace-text", typed).await;
        browser.click(".link-form button").await;
        browser
            .until(&format!(
                "document.querySelector('#link-error')?.innerText.includes('{error}')"
            ))
            .await;
        assert_eq!(browser.value("#trace-text").await, typed);
    }
    browser
        .fill("#trace-text", &format!("the log says trace_id={trace_id}."))
        .await;
    browser.click(".link-form button").await;
    browser.find(".wf-live .is-failing").await;
    browser.click(".history summary").await;
    let history = browser.text(".history").await;
    assert!(history.contains("by ada@example.com"), "{history}");
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_ticket_is_answered_solved_and_reopened() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let browser = signed_in(&app).await;
    open_ticket_page(&app, &browser, &ticket).await;
    assert!(browser.text(".crumbs").await.contains("Open"));
    browser
        .find("#reply")
        .await
        .send_keys("Does it happen with a smaller one?")
        .await
        .unwrap();
    // As in mail programs: Ctrl+Enter sends.
    browser.js("document.querySelector('#reply').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true }))").await;
    browser.find(".by-staff").await;
    assert!(browser.text(".crumbs").await.contains("Pending"));
    browser.click("form[action$='/closure'] button").await;
    browser
        .until("document.querySelector('.crumbs').innerText.includes('Solved')")
        .await;
    browser.goto(ticket["url"].as_str().unwrap()).await;
    assert_eq!(browser.text("h1").await, "Solved");
    browser.fill("#reply", "It does.").await;
    browser.click(".reply button.primary").await;
    browser
        .until("document.querySelector('h1').innerText === 'We are looking at it'")
        .await;
    open_ticket_page(&app, &browser, &ticket).await;
    assert!(browser.text(".crumbs").await.contains("Open"));
    browser.click("form[action$='/spam'] button").await;
    browser
        .until("document.querySelector('.crumbs').innerText.includes('Spam')")
        .await;
    browser.click("form[action$='/reopening'] button").await;
    browser
        .until("document.querySelector('.crumbs').innerText.includes('Open')")
        .await;
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_mail_that_failed_says_why_and_is_sent_again() {
    let app = TestApp::builder()
        .smtp()
        .setting("TRACEDESK_NOTIFY", "reject-once-550@example.com")
        .start()
        .await;
    let ticket = app.open_ticket(&app.report()).await;
    let browser = signed_in(&app).await;
    crate::app::eventually("the mail is refused", async || {
        app.mails_waiting().await == 0
    })
    .await;
    browser.goto(app.url("/desk/mail")).await;
    let row = browser.text(".mail tr:has(.bad)").await;
    for words in [
        "Failed",
        "reject-once-550@example.com",
        "No such mailbox here",
        ticket["reference"].as_str().unwrap(),
    ] {
        assert!(row.contains(words), "no {words} in {row}");
    }
    open_ticket_page(&app, &browser, &ticket).await;
    assert!(
        browser
            .text(".notice")
            .await
            .contains("could not be mailed")
    );
    browser.goto(app.url("/desk/mail")).await;
    browser.click("form[action$='/resend'] button").await;
    browser
        .until("document.querySelectorAll('.mail .good').length === 2")
        .await;
    assert_eq!(
        app.mail_to("reject-once-550@example.com").await.to,
        "reject-once-550@example.com"
    );
    assert_eq!(browser.count("form[action$='/resend']").await, 0);
    open_ticket_page(&app, &browser, &ticket).await;
    assert!(
        browser
            .text(".notice")
            .await
            .contains("mailed to reject-once-550@example.com")
    );
    browser.close().await;
    app.finish().await;
}
