//! The start page, in the hands of people: the way through the recovery flow, votes, languages.

use fantoccini::key::Key;

use super::driver::Browser;
use super::looks::Axe;
use super::signed_in;
use crate::app::TestApp;
use crate::spans::{failing_trace, new_trace_id};

const PAGE: &str = "https://app.example.com/docs/7";

async fn is_shown(browser: &Browser, selector: &str) -> bool {
    let shown = format!("document.querySelector({selector:?}).checkVisibility()");
    browser.js(&shown).await == true
}

async fn counts(app: &TestApp, query: &'static str) -> Vec<(String, String, i32)> {
    sqlx::query_as(query).fetch_all(&app.pool).await.unwrap()
}

async fn recoveries(app: &TestApp) -> Vec<(String, String, i32)> {
    let query = "SELECT kind::text, step::text, count FROM recoveries ORDER BY kind, step";
    counts(app, query).await
}

async fn votes(app: &TestApp) -> Vec<(String, String, i32)> {
    let query = "SELECT answer::text, is_helpful::text, count FROM answer_votes ORDER BY answer";
    counts(app, query).await
}

/// What failed chooses what is advised.
async fn choose_kinds(browser: &Browser) {
    for kind in ["upload", "workflow", "api", "chat"] {
        browser.click(&format!("label:has(#kind-{kind})")).await;
        assert!(is_shown(browser, &format!(".for-{kind}")).await, "{kind}");
        assert!(!is_shown(browser, ".for-other").await, "{kind}");
    }
    assert!(!is_shown(browser, ".for-upload").await);
}

#[tokio::test]
async fn the_recovery_flow_needs_no_script_and_goes_with_the_report() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.scripts(false).await;
    browser.goto(app.url("/")).await;
    browser.fill("#action", "asking the chat").await;
    browser.click("label:has(#kind-chat)").await;
    browser.click("label:has(#tried-retry)").await;
    browser.click("label:has(#tried-switch)").await;
    // A mistake, a check and a vote on the way lose none of it.
    browser.click("#report button.primary").await;
    browser.find("#errors").await;
    browser.click("#answer-plan_limit summary").await;
    browser.click("#helpful-plan_limit button[value$=no]").await;
    browser.fill("#note-plan_limit", "Which limit?").await;
    browser.click("#helpful-plan_limit button").await;
    browser.until_shown("we read each of these lines").await;
    assert_eq!(browser.value("#action").await, "asking the chat");
    assert_eq!(
        browser
            .count("#kind-chat:checked, [name^=tried]:checked")
            .await,
        3
    );
    browser.fill("#page_url", PAGE).await;
    browser.click("#report button.primary").await;
    browser.until_shown("Thank you, your report is in.").await;
    assert_eq!(
        votes(&app).await,
        [("plan_limit".to_owned(), "false".to_owned(), 1)]
    );
    browser.close().await;
    let mail = app.mail().await;
    assert!(
        mail.text.contains("Tried:    retried, switched the model"),
        "{}",
        mail.text
    );
    let staff = signed_in(&app).await;
    staff.goto(app.url("/desk")).await;
    staff.click("a.q-open").await;
    staff
        .until_shown("retried, switched the model; it still failed")
        .await;
    staff.goto(app.url("/desk/answers")).await;
    staff.until_shown("Which limit?").await;
    Axe::load().assert_no_fault(&staff, "answers", "{}").await;
    staff.close().await;
    app.finish().await;
}

#[tokio::test]
async fn that_fixed_it_is_counted_and_nothing_else_asked() {
    let app = TestApp::start().await;
    let (browser, axe) = (Browser::open().await, Axe::load());
    browser.goto(app.url("/")).await;
    choose_kinds(&browser).await;
    axe.assert_no_fault(&browser, "start", "{}").await;
    browser.click("button[name=step][value=switch]").await;
    browser.until_shown("Glad it works").await;
    axe.assert_no_fault(&browser, "fixed", "{}").await;
    browser.scripts(false).await;
    browser.goto(app.url("/?kind=upload")).await;
    assert!(is_shown(&browser, ".for-upload").await);
    browser.click("button[name=step][value=retry]").await;
    browser.until_shown("Glad it works").await;
    let (chat, upload) = ("chat".to_owned(), "upload".to_owned());
    let expected = [
        (chat, "switch".to_owned(), 1),
        (upload, "retry".to_owned(), 1),
    ];
    assert_eq!(recoveries(&app).await, expected);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_vote_is_given_in_place_and_enter_sends_its_line() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    browser.fill("#action", "reading the API's answer").await;
    browser.click("#answer-api_429 summary").await;
    browser.click("#helpful-api_429 button[value$=yes]").await;
    browser.find("#note-api_429").await;
    assert_eq!(browser.focused().await, "note-api_429");
    Axe::load().assert_no_fault(&browser, "voted", "{}").await;
    browser.type_text("Retry-After is good to know").await;
    browser.press(&[Key::Enter]).await;
    browser.until_shown("we read each of these lines").await;
    assert_eq!(browser.value("#action").await, "reading the API's answer");
    assert_eq!(
        votes(&app).await,
        [("api_429".to_owned(), "true".to_owned(), 1)]
    );
    let notes: Vec<String> = sqlx::query_scalar("SELECT note FROM answer_notes")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(notes, ["Retry-After is good to know"]);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn what_the_trace_says_may_be_enough() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    app.send_spans(&failing_trace(&trace_id)).await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    browser.fill("#trace_id", &trace_id).await;
    browser
        .until_shown("Switching the model usually fixes this.")
        .await;
    Axe::load().assert_no_fault(&browser, "found", "{}").await;
    browser.click(".finding button[value=solved]").await;
    browser.until_shown("Glad it works").await;
    let count: i32 = sqlx::query_scalar(
        "SELECT count FROM solved_answers WHERE failure_class = 'provider_error'",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(count, 1);
    // A link from the product brings all of it, without a script too.
    browser.scripts(false).await;
    browser
        .goto(app.url(&format!("/?trace_id={trace_id}&page_url={PAGE}&kind=chat")))
        .await;
    browser
        .until_shown("Switching the model usually fixes this.")
        .await;
    assert_eq!(browser.value("#page_url").await, PAGE);
    assert!(is_shown(&browser, ".for-chat").await);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_page_speaks_the_readers_language_and_the_switch_loses_nothing() {
    let app = TestApp::start().await;
    let (browser, axe) = (Browser::open().await, Axe::load());
    browser.language("de-DE").await;
    browser.goto(app.url("/")).await;
    browser.until_shown("Wenn etwas schiefgeht").await;
    assert_eq!(browser.js("document.documentElement.lang").await, "de");
    axe.assert_no_fault(&browser, "german", "{}").await;
    browser.fill("#action", "ein PDF hochladen").await;
    browser.click("label:has(#kind-upload)").await;
    browser.click(".languages button[lang=zh-Hans]").await;
    browser.until_shown("遇到问题时").await;
    axe.assert_no_fault(&browser, "chinese", "{}").await;
    assert_eq!(browser.value("#action").await, "ein PDF hochladen");
    assert_eq!(
        browser.count("#kind-upload:checked, [aria-invalid]").await,
        1
    );
    // Remembered beyond this page.
    browser.goto(app.url("/")).await;
    browser.until_shown("遇到问题时").await;
    browser.fill("#action", "上传一份 PDF").await;
    browser.fill("#page_url", PAGE).await;
    browser.click("#report button.primary").await;
    browser.until_shown("谢谢，您的报告已收到。").await;
    axe.assert_no_fault(&browser, "chinese-ticket", "{}").await;
    browser.close().await;
    app.finish().await;
}
