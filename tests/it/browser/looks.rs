//! How every page looks: no accessibility fault that axe-core finds, no page wider than a small phone, and pictures for
//! people in `target/screenshots/`.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::driver::{Browser, Device};
use super::{run_failing_chat, signed_in};
use crate::app::{Mail, TestApp, eventually};

const UNKNOWN: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";
/// Of jaeger-ui-genaiTestTrace.json.
const DEEP: &str = "4a1b2c3d4e5f60718293a4b5c6d7e8f9";
/// Of smartthings-oauth-authorization.json.
const WIDE: &str = "00000000000000008ce82b2e9ed820ba";
/// A form with every mistake in it, as a link; sending it shows them.
const REFUSED: &str = "/?action=ab&page_url=app%2Fdocs&when=at&occurred_at=2031-01-01T10%3A00&trace_id=no%20idea&email=lena%40&kind=chat";

/// A page, and how one gets to see it.
struct Page {
    name: &'static str,
    path: String,
    /// What is clicked there.
    click: Option<&'static str>,
    /// What shows that it is ready.
    ready: &'static str,
}

fn page(name: &'static str, path: impl Into<String>) -> Page {
    let path = path.into();
    let is_desk = path.starts_with("/desk") && path != "/desk/sign-in";
    Page {
        name,
        click: None,
        ready: if is_desk {
            "nav[aria-label=Desk]"
        } else {
            "main"
        },
        path,
    }
}

#[tokio::test]
async fn every_page_looks_right_on_every_screen() {
    let app = TestApp::builder()
        .smtp()
        .setting("TRACEDESK_LINK_GRACE_SECS", "600")
        .setting(
            "TRACEDESK_NOTIFY",
            "support@example.com, reject-550@example.com",
        )
        .start()
        .await;
    let browser = signed_in(&app).await;
    browser.goto(app.url("/desk")).await;
    let empty = page("queue-empty", "/desk");
    look(&app, &browser, &Axe::load(), &empty).await;
    let (pages, mail) = fill(&app).await;
    let axe = Axe::load();
    for page in pages.iter().chain(&in_languages()) {
        look(&app, &browser, &axe, page).await;
    }
    look_at_mail(&browser, &axe, &mail).await;
    browser.close().await;
    // Those of the trace that does not come.
    let waiting = app.mails_waiting().await;
    app.finish_with_mail_waiting(waiting).await;
}

/// Tickets in every state, and the pages that show them.
async fn fill(app: &TestApp) -> (Vec<Page>, Mail) {
    for file in [
        "zipkin-as-otlp/smartthings-oauth-authorization.json",
        "jaeger-json/jaeger-ui-genaiTestTrace.json",
    ] {
        let path = format!("{}/tests/data/traces/{file}", env!("CARGO_MANIFEST_DIR"));
        app.cli(&["import", &path]).await;
    }
    let trace_id = run_failing_chat(app).await;
    let open = |action, kind, page, trace| open_ticket(app, action, kind, page, trace);
    let solved = open("downloading the invoice of October", "other", "billing", "").await;
    let none = open(
        "uploading a 40-page PDF: the bar stops at 90 %",
        "upload",
        "docs/7",
        "",
    )
    .await;
    open(
        "asking Focus to compare three contracts",
        "chat",
        "chat/9001",
        DEEP,
    )
    .await;
    open("signing in with my work account", "other", "login", WIDE).await;
    let waiting = "running the Blueprint workflow for the third time today";
    let waiting = open(
        waiting,
        "workflow",
        "flows/blueprint?step=4&from=overview",
        UNKNOWN,
    )
    .await;
    let linked = "asking the chat to summarise a dataset of 12 documents. It thinks for a while, then says that something went wrong.";
    let linked = open(linked, "chat", "chat/8812", &trace_id).await;
    work_on(app, &linked, &solved).await;
    send_spam(app).await;
    let notice = || {
        let mut mails = app.mails().into_iter();
        mails.find(|mail| mail.to == "support@example.com" && mail.text.contains(&trace_id))
    };
    eventually("the notice is sent", async || notice().is_some()).await;
    let mail = notice().unwrap();
    (pages(&linked, &waiting, &none, &solved, &trace_id), mail)
}

async fn open_ticket(app: &TestApp, action: &str, kind: &str, page: &str, trace: &str) -> Value {
    let mut report = app.report();
    report["action"] = action.into();
    report["kind"] = kind.into();
    report["page_url"] = format!("https://app.example.com/{page}").into();
    if !trace.is_empty() {
        report["trace_id"] = trace.into();
    }
    app.open_ticket(&report).await
}

/// What a program sends that never opened the form.
async fn send_spam(app: &TestApp) {
    let fields = [
        ("action", "Best pills, see https://pills.example"),
        ("page_url", "https://pills.example/"),
        ("homepage", "https://pills.example/"),
    ];
    let sent = app.post("/tickets").form(&fields).send().await.unwrap();
    assert_eq!(sent.status(), 303);
}

/// An answer, a reply to it, and a solved ticket.
async fn work_on(app: &TestApp, linked: &Value, solved: &Value) {
    let desk = app.sign_in("mira@example.com").await;
    let answer =
        "The model's provider was overloaded for some minutes. Does it work with another model?";
    desk.submit(
        &format!("{}/messages", desk_path(linked)),
        &[("body", answer)],
    )
    .await;
    app.post(&format!("{}/replies", own_path(linked)))
        .form(&[("body", "Yes, with the small one. Thank you!")])
        .send()
        .await
        .unwrap();
    let note = "Third one today; the provider's status page says nothing. Joe asks them.";
    desk.submit(
        &format!("{}/messages", desk_path(linked)),
        &[("body", note), ("visibility", "note")],
    )
    .await;
    desk.submit(
        &format!("{}/messages", desk_path(solved)),
        &[("body", "The invoice is there now. Sorry for the wait!")],
    )
    .await;
    desk.submit(&format!("{}/closure", desk_path(solved)), &[])
        .await;
    // As the sweep would find it.
    sqlx::query("UPDATE links SET recovered_at = linked_at, recovered_trace_id = trace_id WHERE ticket_id = $1::uuid")
        .bind(linked["id"].as_str().unwrap())
        .execute(&app.pool)
        .await
        .unwrap();
}

fn desk_path(ticket: &Value) -> String {
    format!("/desk/tickets/{}", ticket["id"].as_str().unwrap())
}

fn own_path(ticket: &Value) -> String {
    url::Url::parse(ticket["url"].as_str().unwrap())
        .unwrap()
        .path()
        .to_owned()
}

fn pages(
    linked: &Value,
    waiting: &Value,
    none: &Value,
    solved: &Value,
    trace_id: &str,
) -> Vec<Page> {
    let mut pages = public_pages(trace_id);
    pages.extend(own_pages(linked, waiting, none, solved));
    pages.extend(desk_pages(linked, waiting, none, solved));
    pages.extend(trace_pages(trace_id));
    pages
}

fn public_pages(trace_id: &str) -> Vec<Page> {
    vec![
        page("form", "/"),
        Page {
            click: Some("#report button.primary"),
            ready: "#errors",
            ..page("form-refused", REFUSED)
        },
        Page {
            click: Some("button[value=check]"),
            ready: "#trace_id-read",
            ..page("form-checked", format!("/?trace_id={UNKNOWN}"))
        },
        Page {
            click: Some("button[value=check]"),
            ready: ".finding button[value=solved]",
            ..page("form-found", format!("/?trace_id={trace_id}"))
        },
        page("sign-in", "/desk/sign-in"),
        page("not-found", "/nothing/here"),
    ]
}

/// What reporters see after sending.
fn own_pages(linked: &Value, waiting: &Value, none: &Value, solved: &Value) -> Vec<Page> {
    vec![
        page("own-ticket", own_path(linked)),
        page("own-ticket-new", format!("{}?sent=1", own_path(waiting))),
        page("own-ticket-without-trace", own_path(none)),
        page("own-ticket-lost", "/t/no-such-link"),
        page("own-ticket-solved", own_path(solved)),
        Page {
            click: Some(".rating button[value=no]"),
            ready: ".rating details[open]",
            ..page("own-ticket-rated", own_path(solved))
        },
        Page {
            click: Some(".reply button.primary"),
            ready: "#reply:invalid",
            ..page("own-ticket-empty-reply", own_path(none))
        },
        page("lost-links", "/lost"),
        Page {
            click: Some("main button"),
            ready: "#email-error",
            ..page("lost-links-refused", "/lost")
        },
    ]
}

fn desk_pages(linked: &Value, waiting: &Value, none: &Value, solved: &Value) -> Vec<Page> {
    let desk = desk_path;
    vec![
        Page {
            click: Some(".failures a"),
            ready: ".failures .ref",
            ..page("failure", "/desk/failures")
        },
        page("failures", "/desk/failures"),
        page("queue", "/desk?status=all"),
        page("queue-mine", "/desk?view=mine"),
        page("queue-spam", "/desk?view=spam"),
        Page {
            click: Some(".q-open"),
            ready: ".spam-note",
            ..page("ticket-spam", "/desk?view=spam")
        },
        Page {
            ready: ".wf-live .is-failing",
            ..page("ticket", desk(linked))
        },
        Page {
            click: Some(".assign summary"),
            ready: "#assignee",
            ..page("ticket-assigning", desk(waiting))
        },
        Page {
            click: Some("label:has(#visibility-note)"),
            ready: "#visibility-note:checked",
            ..page("ticket-noting", desk(none))
        },
        page("ticket-waiting", desk(waiting)),
        page("ticket-without-trace", desk(none)),
        page("ticket-solved", desk(solved)),
        page("ticket-not-found", "/desk/tickets/0"),
    ]
}

fn trace_pages(trace_id: &str) -> Vec<Page> {
    let live = ".wf-live .wf-row";
    vec![
        Page {
            ready: ".wf-live .is-failing",
            ..page("trace", format!("/desk/traces/{trace_id}"))
        },
        Page {
            ready: live,
            ..page(
                "trace-deep",
                "/desk/traces/4a1b2c3d4e5f60718293a4b5c6d7e8f9",
            )
        },
        Page {
            ready: live,
            ..page(
                "trace-wide",
                "/desk/traces/00000000000000008ce82b2e9ed820ba",
            )
        },
        page("search-malformed", "/desk/search?q=what+is+this"),
        page("search-not-stored", format!("/desk/traces/{UNKNOWN}")),
        page("mail", "/desk/mail"),
        page("answers", "/desk/answers"),
    ]
}

/// The start page in other languages. The last one leaves the browser with English.
fn in_languages() -> [Page; 3] {
    [
        page("form-german", "/?lang=de&kind=upload"),
        page("form-chinese", "/?lang=zh-Hans&kind=api"),
        Page {
            click: Some("button[name=step]"),
            ready: "main .empty",
            ..page("fixed", "/?lang=en")
        },
    ]
}

async fn look(app: &TestApp, browser: &Browser, axe: &Axe, page: &Page) {
    for device in [Device::Desktop, Device::Phone, Device::SmallPhone] {
        browser.device(device).await;
        browser.goto(app.url(&page.path)).await;
        if let Some(button) = page.click {
            browser.click(button).await;
        }
        browser.find(page.ready).await;
        assert_fits(browser, device, page.name).await;
        if device == Device::SmallPhone {
            continue;
        }
        for is_dark in [false, true] {
            browser.dark(is_dark).await;
            if (device == Device::Desktop) != is_dark {
                axe.assert_no_fault(browser, page.name, "{}").await;
            }
            save(
                &picture_name(page.name, device, is_dark),
                &browser.screenshot().await,
            );
        }
        browser.dark(false).await;
    }
    browser.device(Device::Desktop).await;
}

/// The rules of WCAG 2.2 AA. Those about the landmarks of a page do not fit a mail, which is shown as a part of one.
pub(super) const OF_PARTS: &str =
    "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }";

/// The notice as a mail program shows it.
async fn look_at_mail(browser: &Browser, axe: &Axe, mail: &Mail) {
    let file = folder().join("notice.html");
    std::fs::write(&file, &mail.html).unwrap();
    for device in [Device::Desktop, Device::Phone] {
        browser.device(device).await;
        browser.goto(format!("file://{}", file.display())).await;
        assert_fits(browser, device, "notice").await;
        axe.assert_no_fault(browser, "notice", OF_PARTS).await;
        for is_dark in [false, true] {
            browser.dark(is_dark).await;
            save(
                &picture_name("notice", device, is_dark),
                &browser.screenshot().await,
            );
        }
        browser.dark(false).await;
    }
}

/// Nothing sticks out to the right. Phones widen their window to what sticks out, so the device's width counts.
pub(super) async fn assert_fits(browser: &Browser, device: Device, page: &str) {
    let (width, _) = device.size();
    let wide = format!(
        "[...document.querySelectorAll('body *')].filter(e => document.documentElement.scrollWidth > {width} && e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 120))"
    );
    let wide = browser.js(&wide).await;
    assert_eq!(wide, serde_json::json!([]), "{page} overflows {device:?}");
}

pub(super) fn picture_name(page: &str, device: Device, is_dark: bool) -> String {
    format!(
        "{page}-{}-{}",
        device.name(),
        if is_dark { "dark" } else { "light" }
    )
}

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

pub(super) fn save(name: &str, picture: &[u8]) {
    std::fs::write(folder().join(format!("{name}.png")), picture).unwrap();
}

/// The accessibility checker axe-core, from the Python package that `./test` installs.
pub(super) struct Axe {
    script: String,
}

impl Axe {
    pub(super) fn load() -> Self {
        let python =
            std::env::var("TRACEDESK_TEST_PYTHON").expect("./test sets TRACEDESK_TEST_PYTHON");
        let find = "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('axe_playwright_python').origin).with_name('axe.min.js'))";
        let output = Command::new(python).args(["-c", find]).output().unwrap();
        let path = String::from_utf8(output.stdout).unwrap();
        let script = std::fs::read_to_string(path.trim())
            .expect("the Python of TRACEDESK_TEST_PYTHON must have axe-playwright-python; ./test installs it");
        Self { script }
    }

    /// Every rule holds, or those that `options` choose.
    pub(super) async fn assert_no_fault(&self, browser: &Browser, page: &str, options: &str) {
        let check = "
            const done = arguments[arguments.length - 1];
            axe.run(document, OPTIONS).then(
              result => done(result.violations.flatMap(fault => fault.nodes.map(node => `${fault.id}: ${fault.help}: ${node.html.slice(0, 300)} ${node.failureSummary}`))),
              error => done([String(error)]));";
        let check = check.replace("OPTIONS", options);
        let faults = browser.run(&format!("{};{check}", self.script)).await;
        let faults = faults.as_array().unwrap();
        assert!(faults.is_empty(), "axe finds on {page}: {faults:#?}");
    }
}
