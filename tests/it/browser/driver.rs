//! Headless Chromium, driven through chromedriver: one chromedriver for the process, a browser of its own for each
//! test. A page that logs an error, or breaks its Content-Security-Policy, fails its test.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// More controls than any page has before what a test looks for.
const MAX_TABS: usize = 60;

/// Runs chromedriver, and ends it with all its browsers when standard input closes, which it does however this process
/// ends: nothing else runs at the end of a test process. `$1` is the folder of the browsers' profiles.
const WATCHDOG: &str = r#"
    trap '' TERM
    (trap - TERM; exec chromedriver --port=0) &
    read -r _
    kill 0
    wait
    # The browsers take a moment longer than their driver.
    for turn in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && break; sleep 0.2; done
"#;

/// No window, no sandbox (it refuses root, and containers refuse it), no traffic of the browser's own.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// The chromedriver of this process.
struct Driver {
    url: String,
    profiles: String,
    _watchdog: Child,
}

impl Driver {
    fn shared() -> &'static Self {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        DRIVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let profiles = format!(
            "{}/profiles-{}",
            env!("CARGO_TARGET_TMPDIR"),
            std::process::id()
        );
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "browser-watchdog", &profiles])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(watchdog.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let port = line.split("started successfully on port ").nth(1)?;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("chromedriver did not start: ./test installs it with Chromium (Debian: chromium-driver)");
        Self {
            url: format!("http://127.0.0.1:{port}"),
            profiles,
            _watchdog: watchdog,
        }
    }
}

/// A screen, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// 1440 x 900.
    Desktop,
    /// 390 x 844, touched.
    Phone,
    /// 320 x 640, touched: the narrowest that WCAG 2.2 (1.4.10, reflow) asks for.
    SmallPhone,
}

impl Device {
    /// In the names of screenshots.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Phone => "phone",
            Self::SmallPhone => "small-phone",
        }
    }

    /// Width and height.
    pub(crate) fn size(self) -> (u32, u32) {
        match self {
            Self::Desktop => (1440, 900),
            Self::Phone => (390, 844),
            Self::SmallPhone => (320, 640),
        }
    }
}

/// A browser with one tab.
pub(crate) struct Browser {
    client: Client,
}

impl Browser {
    /// A fresh browser: desktop, light, with scripts.
    ///
    /// # Panics
    /// When Chromium can't be started; a test without it proves nothing.
    pub(crate) async fn open() -> Self {
        let driver = Driver::shared();
        let profile = format!("{}/{}", driver.profiles, tracedesk::clock::new_id());
        let mut flags: Vec<_> = FLAGS.map(str::to_owned).into();
        flags.push(format!("--user-data-dir={profile}"));
        let mut options = json!({ "args": flags });
        // Where Debian keeps it; elsewhere chromedriver knows best.
        if Path::new("/usr/bin/chromium").exists() {
            options["binary"] = json!("/usr/bin/chromium");
        }
        let Value::Object(capabilities) = json!({
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        }) else {
            unreachable!("it is an object")
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url)
            .await
            .expect("Chromium did not start: ./test installs it");
        let browser = Self { client };
        browser.device(Device::Desktop).await;
        browser.dark(false).await;
        browser
    }

    /// Ends the browser. All its pages must have kept their console clean.
    pub(crate) async fn close(self) {
        self.assert_clean_console().await;
        self.client.close().await.unwrap();
    }

    /// What pages logged as a fault since the last look; none of it fails the test any more.
    pub(crate) async fn faults(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({ "type": "browser" })).await;
        entries
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")))
            .filter_map(|entry| entry["message"].as_str())
            .filter(|message| !is_answer_of_page(message))
            .map(str::to_owned)
            .collect()
    }

    /// Goes into the frame that a JavaScript expression names: what follows happens there.
    pub(crate) async fn enter_frame(&self, expression: &str) {
        self.until(&format!("{expression} instanceof HTMLIFrameElement"))
            .await;
        let frame = self.js(expression).await;
        self.command("frame", json!({ "id": frame })).await;
    }

    /// Back to the page around all frames.
    pub(crate) async fn leave_frame(&self) {
        self.command("frame", json!({ "id": null })).await;
    }

    /// Fails if a page logged a warning or an error since the last call. That a page itself was answered with 404 or
    /// 422 is no fault: whoever went there looks at what it says.
    pub(crate) async fn assert_clean_console(&self) {
        let faults = self.faults().await;
        assert!(faults.is_empty(), "the console says {faults:#?}");
    }

    /// Takes on the size and the touch of a device.
    pub(crate) async fn device(&self, device: Device) {
        let (width, height) = device.size();
        let is_mobile = device != Device::Desktop;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let touch = json!({ "enabled": is_mobile });
        self.cdp("Emulation.setTouchEmulationEnabled", touch).await;
    }

    /// Prefers dark pages, or light ones. Motion is reduced, so that pictures show ends and no middles.
    pub(crate) async fn dark(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }

    /// Runs the scripts of pages, or not.
    pub(crate) async fn scripts(&self, are_run: bool) {
        let value = json!({ "value": !are_run });
        self.cdp("Emulation.setScriptExecutionDisabled", value)
            .await;
    }

    /// Moves to another time zone, named as in `Europe/Berlin`.
    pub(crate) async fn time_zone(&self, name: &str) {
        self.cdp(
            "Emulation.setTimezoneOverride",
            json!({ "timezoneId": name }),
        )
        .await;
    }

    /// Asks for pages in another language from now on.
    pub(crate) async fn language(&self, accepted: &str) {
        self.cdp("Network.enable", json!({})).await;
        let headers = json!({ "headers": { "Accept-Language": accepted } });
        self.cdp("Network.setExtraHTTPHeaders", headers).await;
    }

    /// Opens a page.
    pub(crate) async fn goto(&self, url: impl AsRef<str>) {
        self.client.goto(url.as_ref()).await.unwrap();
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Where the browser is.
    pub(crate) async fn url(&self) -> Url {
        self.client.current_url().await.unwrap()
    }

    /// The page's title.
    pub(crate) async fn title(&self) -> String {
        self.client.title().await.unwrap()
    }

    /// Waits for an element and clicks it as a mouse does.
    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    /// Replaces what a field holds by typing.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Sets a field whose value can't be typed alike in every language, as its picker does.
    pub(crate) async fn pick(&self, selector: &str, value: &str) {
        let (selector, value) = (json!(selector), json!(value));
        self.js(&format!(
            "(field => {{ field.value = {value}; for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }})); }})(document.querySelector({selector}))"
        ))
        .await;
    }

    /// Presses Tab until the focus is on the element of this ID.
    pub(crate) async fn tab_to(&self, id: &str) {
        for _ in 0..MAX_TABS {
            self.press(&[Key::Tab]).await;
            if self.focused().await == id {
                return;
            }
        }
        panic!("{MAX_TABS} presses of Tab do not lead to #{id}");
    }

    /// The ID of the element that has the focus.
    pub(crate) async fn focused(&self) -> String {
        let id = self.js("document.activeElement.id").await;
        id.as_str().unwrap_or_default().to_owned()
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &[Key]) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for &key in keys {
            let value = char::from(key);
            actions = actions
                .then(KeyAction::Down { value })
                .then(KeyAction::Up { value });
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Types, wherever the focus is.
    pub(crate) async fn type_text(&self, text: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in text.chars() {
            actions = actions
                .then(KeyAction::Down { value })
                .then(KeyAction::Up { value });
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    /// The visible text of an element, which may take its time to appear.
    pub(crate) async fn text(&self, selector: &str) -> String {
        loop {
            match self.find(selector).await.text().await {
                // Its page was on the way out; the next one has it, or `find` gives up.
                Err(error) if error.is_stale_element_reference() => {}
                text => return text.unwrap(),
            }
        }
    }

    /// What a field holds.
    pub(crate) async fn value(&self, selector: &str) -> String {
        let field = self.find(selector).await;
        field.prop("value").await.unwrap().unwrap_or_default()
    }

    /// How many elements there are now.
    pub(crate) async fn count(&self, selector: &str) -> usize {
        let found = self.client.find_all(Locator::Css(selector)).await;
        found.unwrap().len()
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let started = Instant::now();
        // An error is most likely that of a page on its way out.
        while !matches!(self.try_js(expression).await, Ok(Value::Bool(true))) {
            assert!(
                started.elapsed() < PATIENCE,
                "it did not come true in {PATIENCE:?}: {expression}\non {}:\n{}",
                self.url().await,
                self.text("body").await
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the page shows a text.
    pub(crate) async fn until_shown(&self, text: &str) {
        let text = json!(text);
        self.until(&format!("document.body.innerText.includes({text})"))
            .await;
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn js(&self, expression: &str) -> Value {
        self.try_js(expression).await.unwrap()
    }

    /// Runs a script to its end; what it hands to its last argument is the answer.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// A picture of the whole page as PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let size = &self.cdp("Page.getLayoutMetrics", json!({})).await["cssContentSize"];
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let options = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.cdp("Page.captureScreenshot", options).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// An element, which may take its time to appear.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let wait = self.client.wait().at_most(PATIENCE).every(LOOK_EVERY);
        match wait.for_element(Locator::Css(selector)).await {
            Ok(element) => element,
            Err(error) => panic!("no {selector} on {}: {error}", self.url().await),
        }
    }

    async fn try_js(&self, expression: &str) -> Result<Value, fantoccini::error::CmdError> {
        let script = format!("return ({expression});");
        self.client.execute(&script, Vec::new()).await
    }

    /// A command of the Chrome `DevTools` Protocol.
    async fn cdp(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.command("goog/cdp/execute", body).await
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        let command = ChromeCommand { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }
}

/// Chromium notes as an error what the server answers with an error's status, the page itself included.
fn is_answer_of_page(message: &str) -> bool {
    let url = message.split(' ').next().unwrap_or_default();
    let statuses = ["status of 404", "status of 409", "status of 422"];
    message.contains("Failed to load resource")
        && statuses.iter().any(|status| message.contains(status))
        && !url.contains("/assets/")
        && !url.contains(".json")
}

/// What chromedriver does beyond the `WebDriver` standard.
#[derive(Debug)]
struct ChromeCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for ChromeCommand {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        let session = session_id.unwrap_or_default();
        base_url.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}

#[tokio::test]
async fn a_page_that_logs_an_error_is_noticed() {
    let browser = Browser::open().await;
    browser
        .goto("data:text/html,<script>console.error('broken')</script>")
        .await;
    let entries = browser
        .command("se/log", json!({ "type": "browser" }))
        .await;
    assert!(entries.to_string().contains("broken"));
    browser.close().await;
}
