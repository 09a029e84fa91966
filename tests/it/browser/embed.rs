//! The form on a page of the product, at an origin of its own and under a strict policy of its own, and reports that the
//! page sends by itself.

use std::io::Write as _;
use std::net::TcpListener;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use fantoccini::key::Key;
use serde_json::Value;

use super::driver::{Browser, Device};
use super::looks::{Axe, OF_PARTS, assert_fits, picture_name, save};
use crate::app::TestApp;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const DIALOG: &str = "document.querySelector('#tracedesk')?.shadowRoot.querySelector('dialog')";
const FRAME: &str = "document.querySelector('#tracedesk')?.shadowRoot.querySelector('iframe')";

/// What the page's own script does: keeps what came of a report where the test finds it.
const SCRIPT: &str = "
    document.getElementById('opener').addEventListener('click', async () => {
      const sent = await tracedesk.open({ trace_id: document.body.dataset.trace, kind: 'upload', occurred_at: new Date('2026-11-25T10:30:00Z') });
      document.body.dataset.sent = JSON.stringify(sent);
    });
    document.getElementById('reporter').addEventListener('click', async () => {
      try {
        document.body.dataset.sent = JSON.stringify(await tracedesk.report({ action: document.body.dataset.action ?? 'asking by itself', kind: 'chat' }));
      } catch (error) {
        document.body.dataset.failed = JSON.stringify({ message: error.message, status: error.status, errors: error.errors });
      }
    });";

/// The product: one page that includes tracedesk's script.
struct Product {
    origin: String,
    handle: ServerHandle,
}

impl Product {
    /// A listener tells the origin before there is a key for it.
    fn bind() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        (listener, origin)
    }

    fn start(listener: TcpListener, app: &TestApp, key: &str) -> Self {
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let tracedesk = app.address.clone();
        let policy = format!(
            "default-src 'none'; script-src 'self' {tracedesk}; frame-src {tracedesk}; connect-src {tracedesk}"
        );
        let html = format!(
            "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'><title>Product</title><body data-trace={TRACE_ID}>
             <main><h1>A product</h1><p>The upload failed.</p>
             <button id=opener>Report</button> <button id=reporter>Report by itself</button>
             <button id=marked data-tracedesk data-trace-id={TRACE_ID} data-kind=chat>Report this</button></main>
             <script src='{tracedesk}/embed.js' data-key='{key}'></script><script src=/page.js></script>"
        );
        let server = HttpServer::new(move || {
            let (html, policy) = (html.clone(), policy.clone());
            App::new()
                .route(
                    "/app",
                    web::get().to(move || {
                        let (html, policy) = (html.clone(), policy.clone());
                        async move {
                            HttpResponse::Ok()
                                .content_type("text/html; charset=utf-8")
                                .insert_header(("content-security-policy", policy))
                                .body(html)
                        }
                    }),
                )
                .route(
                    "/page.js",
                    web::get().to(|| async {
                        HttpResponse::Ok()
                            .content_type("text/javascript")
                            .body(SCRIPT)
                    }),
                )
                .route("/favicon.ico", web::get().to(HttpResponse::NoContent))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { origin, handle }
    }

    fn page(&self) -> String {
        format!("{}/app", self.origin)
    }

    async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn product(app: &TestApp) -> Product {
    let (listener, origin) = Product::bind();
    let key = app
        .publishable_key(&["https://app.example.com", &origin])
        .await;
    Product::start(listener, app, &key)
}

async fn tickets(app: &TestApp) -> Vec<(String, String, String, bool)> {
    sqlx::query_as(
        "SELECT action, kind::text, status::text, account_id IS NOT NULL FROM tickets ORDER BY id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

/// What the page's script was given.
async fn given(browser: &Browser, name: &str) -> Value {
    browser
        .until(&format!("'{name}' in document.body.dataset"))
        .await;
    let text = browser.js(&format!("document.body.dataset.{name}")).await;
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_form_opens_in_a_dialog_and_its_result_reaches_the_page() {
    let app = TestApp::start().await;
    let product = product(&app).await;
    let browser = Browser::open().await;
    browser.time_zone("Asia/Kathmandu").await;
    browser.goto(product.page()).await;
    browser.tab_to("opener").await;
    browser.press(&[Key::Enter]).await;
    browser.enter_frame(FRAME).await;
    browser
        .until("document.activeElement.id === 'action'")
        .await;
    assert_eq!(browser.value("#trace_id").await, TRACE_ID);
    assert_eq!(browser.value("#page_url").await, product.page());
    assert_eq!(browser.count("#kind-upload:checked").await, 1);
    assert_eq!(browser.count("#when-at:checked").await, 1);
    assert_eq!(browser.value("#occurred_at").await, "2026-11-25T16:15");
    // A mistake comes back into the frame, with all that was typed.
    browser.type_text("ab").await;
    browser.press(&[Key::Tab]).await;
    browser.click("#report button.primary").await;
    browser.find("#errors").await;
    assert_eq!(browser.value("#trace_id").await, TRACE_ID);
    browser.fill("#action", "uploading from a dialog").await;
    browser.click("#report button.primary").await;
    browser.until_shown("Thank you, your report is in.").await;
    let axe = Axe::load();
    axe.assert_no_fault(&browser, "the end in a frame", OF_PARTS)
        .await;
    let picture = browser.screenshot().await;
    save(
        &picture_name("embed-sent", Device::Desktop, false),
        &picture,
    );
    let link = browser.js("document.querySelector('a.url').href").await;
    browser.press(&[Key::Escape]).await;
    browser.leave_frame().await;
    let sent = given(&browser, "sent").await;
    assert_eq!(sent["url"], link);
    assert!(sent["reference"].as_str().unwrap().starts_with("TD-"));
    assert_eq!(
        browser.js("document.querySelector('#tracedesk')").await,
        Value::Null
    );
    assert_eq!(browser.focused().await, "opener");
    let expected = ("uploading from a dialog", "upload", "open", true);
    let all = tickets(&app).await;
    let [(action, kind, status, has_account)] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!((&**action, &**kind, &**status, *has_account), expected);
    browser.close().await;
    product.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_keyboard_gets_in_and_out_and_a_mark_in_the_page_is_enough() {
    let app = TestApp::start().await;
    let product = product(&app).await;
    let browser = Browser::open().await;
    browser.goto(product.page()).await;
    browser.tab_to("marked").await;
    browser.press(&[Key::Enter]).await;
    browser.enter_frame(FRAME).await;
    browser
        .until("document.activeElement.id === 'action'")
        .await;
    assert_eq!(browser.value("#trace_id").await, TRACE_ID);
    assert_eq!(browser.count("#kind-chat:checked").await, 1);
    // Back out of the frame, onto the dialog's own button; the page behind can't be reached.
    browser.leave_frame().await;
    browser
        .js(&format!("{DIALOG}.querySelector('button').focus()"))
        .await;
    for _ in 0..40 {
        browser.press(&[Key::Tab]).await;
        let focused = browser.focused().await;
        assert!(focused == "tracedesk" || focused.is_empty(), "{focused}");
    }
    browser
        .js(&format!("{DIALOG}.querySelector('button').focus()"))
        .await;
    browser.press(&[Key::Escape]).await;
    browser
        .until("document.querySelector('#tracedesk') === null")
        .await;
    assert_eq!(browser.focused().await, "marked");
    assert!(tickets(&app).await.is_empty());
    browser.close().await;
    product.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn the_dialog_fits_a_phone_and_the_dark() {
    let app = TestApp::start().await;
    let product = product(&app).await;
    let (browser, axe) = (Browser::open().await, Axe::load());
    for device in [Device::Desktop, Device::Phone, Device::SmallPhone] {
        browser.device(device).await;
        browser.goto(product.page()).await;
        browser.click("#opener").await;
        browser.enter_frame(FRAME).await;
        browser
            .until("document.activeElement.id === 'action'")
            .await;
        assert_fits(&browser, device, "the framed form").await;
        axe.assert_no_fault(&browser, "the framed form", OF_PARTS)
            .await;
        browser.leave_frame().await;
        for is_dark in [false, true] {
            browser.dark(is_dark).await;
            let name = picture_name("embed", device, is_dark);
            save(&name, &browser.screenshot().await);
        }
        browser.dark(false).await;
    }
    browser.close().await;
    product.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_page_reports_by_itself_and_is_told_what_is_wrong() {
    let app = TestApp::start().await;
    let product = product(&app).await;
    let browser = Browser::open().await;
    browser.goto(product.page()).await;
    browser.click("#reporter").await;
    let sent = given(&browser, "sent").await;
    assert!(sent["reference"].as_str().unwrap().starts_with("TD-"));
    let page = app
        .http
        .get(sent["url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("asking by itself"));
    browser.js("document.body.dataset.action = 'x'").await;
    browser.click("#reporter").await;
    let failed = given(&browser, "failed").await;
    assert_eq!(failed["status"], 422);
    assert_eq!(failed["errors"][0]["field"], "action");
    assert_eq!(tickets(&app).await.len(), 1);
    browser.close().await;
    product.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_and_people_get_a_way_out() {
    let app = TestApp::start().await;
    let key = app.publishable_key(&["https://app.example.com"]).await;
    let (listener, _) = Product::bind();
    let stranger = Product::start(listener, &app, &key);
    let browser = Browser::open().await;
    browser.goto(stranger.page()).await;
    browser.click("#opener").await;
    browser
        .until(&format!("{DIALOG}?.querySelector('p').hidden === false"))
        .await;
    let way_out = browser
        .js(&format!("{DIALOG}.querySelector('a').href"))
        .await;
    let way_out = way_out.as_str().unwrap();
    assert!(way_out.starts_with(&app.address) && way_out.contains(TRACE_ID));
    browser.press(&[Key::Escape]).await;
    browser.click("#reporter").await;
    given(&browser, "failed").await;
    assert!(tickets(&app).await.is_empty());
    // A page can't say that it is another one: the browser holds the frame against the real one.
    let lie = format!(
        "{}/embed?embed_key={key}&embed_origin=https://app.example.com",
        app.address
    );
    let response = app.http.get(&lie).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("frame-ancestors https://app.example.com;"),
        "{policy}"
    );
    assert!(!response.headers().contains_key("x-frame-options"));
    let faults = browser.faults().await;
    assert!(!faults.is_empty(), "the browser says that it refused");
    browser.close().await;
    stranger.stop().await;
    app.finish().await;
}

#[tokio::test]
async fn the_script_is_small_and_may_be_loaded_from_anywhere() {
    let app = TestApp::start().await;
    let response = app.get("/embed.js").send().await.unwrap();
    assert_eq!(response.status(), 200);
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("access-control-allow-origin", "*"),
        ("cache-control", "public, max-age=3600"),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    let script = response.bytes().await.unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&script).unwrap();
    let packed = gzip.finish().unwrap().len();
    assert!(packed < 10_000, "{packed} bytes");
    // No key, no frame: the form itself stays nobody's to frame.
    let response = app.get("/embed").send().await.unwrap();
    assert_eq!(response.status(), 403);
    for path in ["/", "/embed"] {
        let response = app.get(path).send().await.unwrap();
        assert_eq!(response.headers()["x-frame-options"], "DENY", "{path}");
    }
    app.finish().await;
}
