//! What keeps spam away, in the hands of people: nobody sees it, and nothing waits for it.

use fantoccini::key::Key;

use super::driver::Browser;
use crate::app::TestApp;

async fn fill(browser: &Browser, app: &TestApp, action: &str) {
    browser.goto(app.url("/")).await;
    browser.fill("#action", action).await;
    browser
        .fill("#page_url", "https://app.example.com/docs/7")
        .await;
}

/// Proofs of work that were used, tickets, and those of them that are spam.
async fn counts(app: &TestApp) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM used_proofs), count(*), count(*) FILTER (WHERE status = 'spam') FROM tickets",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_browser_does_its_proof_of_work_unseen_and_once_a_report() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    fill(&browser, &app, "uploading a 40-page PDF").await;
    // Sent by a key at once, while the work may still be going on.
    browser.press(&[Key::Enter]).await;
    browser.until_shown("Thank you, your report is in.").await;
    assert_eq!(counts(&app).await, (1, 1, 0));
    // Who goes back and sends again has done the work again.
    browser.js("history.back()").await;
    browser.until("location.pathname === '/'").await;
    browser.fill("#action", "uploading another PDF").await;
    browser
        .fill("#page_url", "https://app.example.com/docs/8")
        .await;
    browser.click("#report button.primary").await;
    browser.until_shown("Thank you, your report is in.").await;
    assert_eq!(counts(&app).await, (2, 2, 0));
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_trap_is_neither_seen_nor_reached() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    let right = browser
        .js("document.getElementById('homepage').getBoundingClientRect().right < 0")
        .await;
    assert_eq!(right, true);
    assert_eq!(browser.count("[aria-hidden=true] #homepage").await, 1);
    for _ in 0..40 {
        browser.press(&[Key::Tab]).await;
        assert_ne!(browser.focused().await, "homepage");
    }
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn the_browser_says_at_once_what_would_be_refused() {
    let app = TestApp::start().await;
    let browser = Browser::open().await;
    browser.goto(app.url("/")).await;
    let choose = |sizes: &str| {
        format!(
            "(sizes => {{
               const input = document.getElementById('screenshots'), chosen = new DataTransfer();
               sizes.forEach((size, n) => chosen.items.add(new File([new Uint8Array(size)], `${{n}}-${{size}}.png`, {{ type: 'image/png' }})));
               input.files = chosen.files;
               input.dispatchEvent(new Event('change'));
             }})({sizes})"
        )
    };
    browser.js(&choose("[100, 11 * 1024 * 1024]")).await;
    browser
        .until_shown("A screenshot may have 10 MiB at most.")
        .await;
    assert_eq!(
        browser
            .js("document.getElementById('screenshots').files.length")
            .await,
        1
    );
    browser.js(&choose("[1, 2, 3, 4, 5, 6]")).await;
    browser
        .until_shown("At most 5 screenshots are taken.")
        .await;
    assert_eq!(
        browser
            .js("document.getElementById('screenshots').files.length")
            .await,
        5
    );
    browser.close().await;
    app.finish().await;
}
