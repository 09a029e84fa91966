//! The story that tracedesk is for, from the failure in a program to the answer that its user reads.

use tracedesk::access::session::Role;

use super::driver::Browser;
use super::{run_failing_chat, sign_in};
use crate::app::{Mail, TestApp, between};

const ACTION: &str = "asking the chat to summarise a dataset of 12 documents";
const PAGE: &str = "https://app.example.com/chat/8812";
const MESSAGE: &str = "529 overloaded_error: the model is temporarily overloaded";
const ANSWER: &str = "The model's provider was overloaded. Please switch to another model.";

#[tokio::test]
async fn a_failure_becomes_a_report_a_mail_and_an_answer() {
    let app = TestApp::builder()
        .smtp()
        .setting("TRACEDESK_LINK_GRACE_SECS", "600")
        .start()
        .await;
    app.add_staff("ada@example.com", Role::Staff).await;
    let trace_id = run_failing_chat(&app).await;
    let reporter = Browser::open().await;
    let reference = send_report(&app, &reporter, &trace_id).await;
    let mail = app.mail_to("support@example.com").await;
    assert_mail_tells_it_all(&mail, &reference, &trace_id);
    answer(&app, &mail, &reference).await;
    reporter.reload().await;
    assert_eq!(reporter.count(".done").await, 0, "thanks are said once");
    assert_eq!(reporter.text("h1").await, "We answered: it's your turn");
    assert_eq!(reporter.text(".by-staff .words").await, ANSWER);
    assert_eq!(reporter.text(".by-staff header b").await, "Support");
    reporter.close().await;
    app.finish().await;
}

/// A person fills the empty form; the reference that the page after it shows.
async fn send_report(app: &TestApp, reporter: &Browser, trace_id: &str) -> String {
    reporter.goto(app.url("/")).await;
    let filled = "[...document.querySelectorAll('#report :is(input:not([type=radio], [type=hidden]), textarea)')].filter(f => f.value).length";
    assert_eq!(reporter.js(filled).await, 0);
    reporter.fill("#action", ACTION).await;
    reporter.fill("#page_url", PAGE).await;
    reporter.click("label:has(#kind-chat)").await;
    reporter.fill("#trace_id", trace_id).await;
    reporter.fill("#email", "lena@example.org").await;
    reporter.click("#report button.primary").await;
    reporter.until_shown("Thank you, your report is in.").await;
    let link = reporter.url().await;
    assert!(
        link.path().starts_with("/t/") && link.query().is_none() && link.fragment().is_none(),
        "{link}"
    );
    assert_eq!(reporter.text(".copybox code").await, link.as_str());
    let page = reporter.text("main").await;
    assert!(page.contains("Provider failed"), "{page}");
    assert!(
        page.contains("Switching the model usually fixes this"),
        "{page}"
    );
    assert!(page.contains(ACTION) && page.contains(PAGE), "{page}");
    let reference = reporter.text(".crumbs .ref").await;
    assert!(
        reference.starts_with("TD-") && reference.len() == 9,
        "{reference}"
    );
    reference
}

fn assert_mail_tells_it_all(mail: &Mail, reference: &str, trace_id: &str) {
    assert_eq!(mail.to, "support@example.com");
    assert!(
        mail.subject.starts_with(&format!("[{reference}] ")),
        "{}",
        mail.subject
    );
    // The text part is wrapped.
    let text = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [&text, &mail.html] {
        for words in [
            ACTION,
            PAGE,
            trace_id,
            "chat large-2",
            "model-gateway",
            MESSAGE,
            "/desk/tickets/",
        ] {
            assert!(part.contains(words), "no {words} in {part}");
        }
    }
}

/// A member of staff comes from the mail's link, sees what failed, and answers.
async fn answer(app: &TestApp, mail: &Mail, reference: &str) {
    let staff = Browser::open().await;
    let path = between(&mail.text, &app.url("/desk/tickets/"), "\n").trim();
    let link = app.url(&format!("/desk/tickets/{path}"));
    staff.goto(&link).await;
    assert_eq!(staff.text("h1").await, "Sign in to the desk");
    sign_in(&staff, "ada@example.com").await;
    assert_eq!(staff.url().await.as_str(), link);
    assert_eq!(staff.text(".crumbs .ref").await, reference);
    let failure = staff.text(".failure").await;
    for words in [
        "Provider failed",
        "chat large-2",
        "model-gateway",
        "4.29 s after the start",
        "took 2.06 s",
        MESSAGE,
    ] {
        assert!(failure.contains(words), "no {words} in {failure}");
    }
    let row = staff.text(".wf-live .is-failing.is-selected").await;
    assert!(
        row.contains("chat large-2") && row.contains("failing"),
        "{row}"
    );
    assert_eq!(staff.count(".wf-live .is-failing").await, 1);
    staff.fill("#reply", ANSWER).await;
    staff.click(".reply button.primary").await;
    staff
        .until("document.querySelector('.by-staff .words') !== null")
        .await;
    assert!(staff.text(".crumbs").await.contains("Pending"));
    staff.close().await;
}
