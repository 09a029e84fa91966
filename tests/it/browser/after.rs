//! What comes after sending, in the hands of both sides: the reporter's live page, files with replies, the black-out
//! tool, the desk's answers and notes, and which trace it was.

use chrono::TimeDelta;
use fantoccini::key::Key;
use image::RgbImage;
use serde_json::{Value, json};
use tracedesk::access::session::Role;

use super::driver::{Browser, Device};
use super::{sign_in, signed_in};
use crate::app::{Desk, TestApp, eventually};
use crate::spans::{export, failed, new_trace_id, span, text};

const ANSWER: &str = "The provider was overloaded. Does it work now?";

fn desk_path(ticket: &Value) -> String {
    format!("/desk/tickets/{}", ticket["id"].as_str().unwrap())
}

fn own_url(ticket: &Value) -> &str {
    ticket["url"].as_str().unwrap()
}

async fn answer(desk: &Desk, ticket: &Value) {
    let path = format!("{}/messages", desk_path(ticket));
    desk.submit(&path, &[("body", ANSWER)]).await;
}

/// A picture of one colour, as a file to be chosen.
fn picture_file() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("failure.png");
    RgbImage::from_pixel(600, 400, image::Rgb([30, 120, 200]))
        .save(&path)
        .unwrap();
    let name = path.to_str().unwrap().to_owned();
    (folder, name)
}

#[tokio::test]
async fn the_reporters_page_shows_what_is_new_and_keeps_what_is_being_typed() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let desk = app.sign_in("ada@example.com").await;
    let browser = Browser::open().await;
    browser.goto(own_url(&ticket)).await;
    browser.js("window.isSameDocument = true").await;
    browser.fill("#reply", "While I am writing").await;
    answer(&desk, &ticket).await;
    browser.until_shown(ANSWER).await;
    browser.until("document.querySelector('#live-note').textContent === 'Support wrote: there is a new answer.'").await;
    assert_eq!(browser.text("h1").await, "We answered: it's your turn");
    assert_eq!(browser.value("#reply").await, "While I am writing");
    assert_eq!(browser.focused().await, "reply");
    desk.submit(&format!("{}/closure", desk_path(&ticket)), &[])
        .await;
    browser
        .until("document.querySelector('h1').textContent === 'Solved'")
        .await;
    assert_eq!(browser.js("window.isSameDocument").await, true);
    browser.click(".reply button.primary").await;
    browser.until_shown("We are looking at it").await;
    assert_eq!(
        browser.text(".messages .said:last-child .words").await,
        "While I am writing"
    );
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn an_answer_is_rated_and_the_report_closed_without_a_script_too() {
    for has_script in [true, false] {
        let app = TestApp::start().await;
        let ticket = app.open_ticket(&app.report()).await;
        let desk = app.sign_in("ada@example.com").await;
        answer(&desk, &ticket).await;
        let browser = Browser::open().await;
        browser.scripts(has_script).await;
        browser.goto(own_url(&ticket)).await;
        browser.click(".rating summary").await;
        browser.fill("#rate-line", "The small model works.").await;
        browser.click(".rating button[value=yes]").await;
        browser
            .until_shown("You said that this answer helped.")
            .await;
        browser.until_shown("Thank you.").await;
        browser.click(".works-again button").await;
        browser
            .until_shown("If it happens again, reply below")
            .await;
        assert_eq!(browser.count(".works-again").await, 0);
        let page = desk.page(&desk_path(&ticket)).await;
        assert!(page.contains("says the reporter: The small model works."));
        browser.close().await;
        app.finish().await;
    }
}

/// The pictures of the ticket's messages, as they were kept.
async fn kept(app: &TestApp) -> Vec<RgbImage> {
    let files: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT content FROM attachments WHERE message_id IS NOT NULL ORDER BY id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let read = |file: Vec<u8>| image::load_from_memory(&file).unwrap().to_rgb8();
    files.into_iter().map(read).collect()
}

fn is_black(picture: &RgbImage, x: u32, y: u32) -> bool {
    picture.get_pixel(x, y).0.iter().all(|&part| part < 8)
}

#[tokio::test]
async fn what_is_blacked_out_by_mouse_or_by_keyboard_never_leaves_the_browser() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let browser = Browser::open().await;
    browser.goto(own_url(&ticket)).await;
    let (_folder, path) = picture_file();
    browser
        .find("#screenshots")
        .await
        .send_keys(&path)
        .await
        .unwrap();
    // A second one is pasted.
    browser.run(PASTE).await;
    browser
        .until("document.querySelectorAll('.shots canvas').length === 2")
        .await;
    // By mouse: a box from the picture's left upper corner to its middle.
    browser.click(".shots li:first-child button").await;
    browser.find("dialog.blackout canvas").await;
    browser
        .until("document.querySelector('dialog.blackout canvas').width === 600")
        .await;
    drag(&browser).await;
    browser.click("dialog.blackout button.primary").await;
    browser
        .until("document.querySelector('dialog') === null")
        .await;
    // By keyboard: a box in the middle, moved up and made wider; another one taken back.
    browser.click(".shots li:last-child button").await;
    browser.find("dialog.blackout canvas").await;
    browser
        .js("document.querySelector('dialog canvas').focus()")
        .await;
    browser.press(&[Key::Enter, Key::Up, Key::Up]).await;
    browser.press(&[Key::Enter]).await;
    browser
        .click("dialog.blackout .row button:first-child")
        .await;
    browser.click("dialog.blackout button.primary").await;
    browser
        .until("document.querySelector('dialog') === null")
        .await;
    browser.fill("#reply", "See the pictures.").await;
    browser.click(".reply button.primary").await;
    browser.find(".messages .shots img").await;
    let pictures = kept(&app).await;
    assert_eq!(pictures.len(), 2);
    let by_mouse = &pictures[0];
    assert!(is_black(by_mouse, 20, 20) && is_black(by_mouse, 280, 180));
    assert!(!is_black(by_mouse, 320, 220) && !is_black(by_mouse, 590, 390));
    // The box of a quarter of the width and an eighth of the height, two steps of a fiftieth of the width further up.
    let by_keyboard = &pictures[1];
    assert!(
        is_black(by_keyboard, 150, 80) && !is_black(by_keyboard, 150, 115),
        "it moved up"
    );
    assert!(!is_black(by_keyboard, 5, 80));
    browser.close().await;
    app.finish().await;
}

/// Pastes a picture of 300 x 200 pixels.
const PASTE: &str = "
    const done = arguments[arguments.length - 1];
    const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
    const context = canvas.getContext('2d');
    context.fillStyle = '#c83c3c';
    context.fillRect(0, 0, 300, 200);
    canvas.toBlob(blob => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([blob], 'pasted.png', { type: 'image/png' }));
      document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
      done(true);
    }, 'image/png');";

/// Drags from the upper left corner to the middle.
async fn drag(browser: &Browser) {
    let script = "
        const done = arguments[arguments.length - 1];
        const canvas = document.querySelector('dialog.blackout canvas');
        canvas.setPointerCapture = () => {};
        const shown = canvas.getBoundingClientRect();
        const at = (kind, part) => canvas.dispatchEvent(new PointerEvent(kind, { bubbles: true, pointerId: 1,
          clientX: shown.left + shown.width * part, clientY: shown.top + shown.height * part }));
        at('pointerdown', 0); at('pointermove', 0.25); at('pointermove', 0.5); at('pointerup', 0.5);
        done(true);";
    browser.run(script).await;
}

#[tokio::test]
async fn files_of_a_reply_stay_through_an_error_without_a_script() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let browser = Browser::open().await;
    browser.scripts(false).await;
    browser.goto(own_url(&ticket)).await;
    let (_folder, path) = picture_file();
    browser
        .find("#screenshots")
        .await
        .send_keys(&path)
        .await
        .unwrap();
    browser.fill("#reply", " ").await;
    browser.click(".reply button.primary").await;
    browser.find("#reply-error").await;
    assert_eq!(browser.count(".reply .shots img").await, 1);
    browser.fill("#reply", "Here it is.").await;
    browser.click(".reply button.primary").await;
    browser.find(".messages .shots img").await;
    assert_eq!(kept(&app).await.len(), 1);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn staff_note_assign_solve_and_take_it_back() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    app.add_staff("joe@example.com", Role::Staff).await;
    let browser = signed_in(&app).await;
    browser.goto(app.url(&desk_path(&ticket))).await;
    // A note looks like one while it is written, and the answer's button is gone.
    let colour = "getComputedStyle(document.querySelector('#reply')).backgroundColor";
    let of_answer = browser.js(colour).await;
    browser.click("label:has(#visibility-note)").await;
    browser.until(&format!("{colour} !== {of_answer}")).await;
    assert_eq!(browser.text(".composer button.primary").await, "Add note");
    browser.fill("#reply", "Ask Joe about the queue.").await;
    browser.click(".composer button.primary").await;
    browser.find(".note-to-self").await;
    assert!(
        browser
            .text(".note-to-self")
            .await
            .contains("Internal note")
    );
    assert!(browser.text(".crumbs").await.contains("Open"));
    browser.click(".actions > form button").await;
    browser.until_shown("Assigned to you").await;
    browser.click(".undo button").await;
    browser.until_shown("Unassigned").await;
    browser.click(".assign summary").await;
    browser
        .find("#assignee")
        .await
        .select_by_label("joe@example.com")
        .await
        .unwrap();
    browser.click(".assign button").await;
    browser.until_shown("Assigned to joe@example.com").await;
    browser.click("form[action$='/closure'] button").await;
    browser
        .until_shown("Solved. If the reporter left an address")
        .await;
    browser.click(".undo button").await;
    browser
        .until("document.querySelector('.crumbs').innerText.includes('Open')")
        .await;
    browser.click(".history summary").await;
    let history = browser.text(".history").await;
    for words in [
        "Noted among staff",
        "Assigned to joe@example.com",
        "Taken back: solved",
        "by ada@example.com",
    ] {
        assert!(history.contains(words), "no {words} in {history}");
    }
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_colleague_who_was_faster_is_named_and_nothing_typed_is_lost() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let joe = app.sign_in("joe@example.com").await;
    let browser = signed_in(&app).await;
    browser.goto(app.url(&desk_path(&ticket))).await;
    let (_folder, path) = picture_file();
    browser.click(".files summary").await;
    browser
        .find("#screenshots")
        .await
        .send_keys(&path)
        .await
        .unwrap();
    browser.fill("#reply", "Which browser is it?").await;
    answer(&joe, &ticket).await;
    browser.click(".composer button.primary").await;
    let told = browser.text("#overtaken").await;
    assert!(
        told.contains("joe@example.com") && told.contains("Answered"),
        "{told}"
    );
    browser.until_shown(ANSWER).await;
    assert_eq!(browser.value("#reply").await, "Which browser is it?");
    assert_eq!(browser.count(".composer .shots img").await, 1);
    browser.click(".composer button.primary").await;
    browser
        .until("document.querySelectorAll('.by-staff').length === 2")
        .await;
    assert_eq!(kept(&app).await.len(), 1);
    browser.close().await;
    app.finish().await;
}

/// A failed request for the page of the test's report, so long before now.
async fn failed_at_page(app: &TestApp, minutes: i64) -> String {
    let trace_id = new_trace_id();
    let mut entry = failed(span(&trace_id, 1, 0, "POST /docs/{id}"), "E", "broken");
    entry.kind = opentelemetry_proto::tonic::trace::v1::span::SpanKind::Server.into();
    entry.attributes.push(text("url.path", "/docs/7"));
    let started = app.state.clock.now() - TimeDelta::minutes(minutes);
    entry.start_time_unix_nano = u64::try_from(started.timestamp_nanos_opt().unwrap()).unwrap();
    entry.end_time_unix_nano = entry.start_time_unix_nano + 1_000_000;
    app.send_spans(&export("docs-api", vec![entry])).await;
    trace_id
}

#[tokio::test]
async fn staff_say_which_trace_it_was() {
    let app = TestApp::start().await;
    let first = failed_at_page(&app, 1).await;
    let ticket = app.open_ticket(&app.report()).await;
    let id = ticket["id"].as_str().unwrap();
    let linked = async || app.ticket(id).await["trace"]["state"] == "linked";
    eventually("the trace that fits is linked", linked).await;
    let browser = signed_in(&app).await;
    browser.goto(app.url(&desk_path(&ticket))).await;
    assert!(
        browser
            .text(".suggested")
            .await
            .contains("Is this the trace?")
    );
    browser
        .click("form[action$='/link-rejection'] button")
        .await;
    browser.until_shown("No trace ID was given").await;
    // What was taken away is not offered again; another one that fits is.
    let second = failed_at_page(&app, 2).await;
    browser.reload().await;
    browser.find(".candidates").await;
    assert_eq!(browser.count(".candidates li").await, 1);
    let offered = browser
        .js("document.querySelector('.candidates a').pathname")
        .await;
    assert_eq!(offered, json!(format!("/desk/traces/{second}")));
    browser.click(".candidates button").await;
    browser.find(".wf-live .is-failing").await;
    assert_eq!(browser.count(".suggested").await, 0);
    assert_eq!(app.ticket(id).await["trace"]["id"], second.as_str());
    browser.click(".history summary").await;
    let history = browser.text(".history").await;
    assert!(
        history.contains("not this one") && history.contains(&first),
        "{history}"
    );
    assert!(history.contains("Pointed at another trace"), "{history}");
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn lost_links_are_asked_for_on_a_phone_without_a_script() {
    let app = TestApp::start().await;
    app.open_ticket(&app.report()).await;
    let browser = Browser::open().await;
    browser.device(Device::SmallPhone).await;
    browser.scripts(false).await;
    browser.goto(app.url("/")).await;
    browser.click(".foot a[href='/lost']").await;
    browser.fill("#email", "reporter@").await;
    browser.click("main button").await;
    browser.find("#email-error").await;
    assert_eq!(browser.value("#email").await, "reporter@");
    browser.fill("#email", "reporter@example.com").await;
    browser.click("main button").await;
    browser.until_shown("Look into your mail.").await;
    let mail = || {
        let mut mails = app.mails().into_iter();
        mails.find(|mail| mail.subject == "The links to your reports")
    };
    eventually("the links are mailed", async || mail().is_some()).await;
    let mail = mail().unwrap();
    let link = crate::app::between(&mail.html, &app.url("/t/"), "\"");
    browser.goto(app.url(&format!("/t/{link}"))).await;
    browser.until_shown("We are looking at it").await;
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_colleague_signs_in_and_finds_what_is_hers() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    app.add_staff("ada@example.com", Role::Staff).await;
    let browser = Browser::open().await;
    browser.goto(app.url(&desk_path(&ticket))).await;
    sign_in(&browser, "ada@example.com").await;
    browser.click(".actions > form button").await;
    browser.until_shown("Assigned to you").await;
    browser.goto(app.url("/desk?view=mine")).await;
    assert_eq!(browser.count(".q-open").await, 1);
    assert_eq!(browser.text(".q-assignee").await, "You");
    assert_eq!(browser.text(".tabs [aria-current]").await, "Mine 1");
    browser.click(".tabs a[href$='=unassigned']").await;
    browser.until_shown("Every open ticket has somebody").await;
    browser.close().await;
    app.finish().await;
}
