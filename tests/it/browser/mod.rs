//! What people see and do, in real headless Chromium.

mod after;
mod desk;
pub(crate) mod driver;
mod embed;
mod form;
mod guard;
mod help;
mod large;
mod looks;
mod story;

use std::process::Stdio;

use tokio::process::Command;
use tracedesk::access::session::Role;

use crate::app::{PASSWORD, TestApp, between};
use driver::Browser;

/// Runs the program that is named, from the path it would have in production: stack traces name it.
const AS_IN_PRODUCTION: &str =
    "import sys; exec(compile(open(sys.argv[1]).read(), '/srv/chat/app.py', 'exec'))";

/// Runs an instrumented program, with the stock OpenTelemetry SDK, whose chat fails at its model's provider; the trace
/// ID that it prints.
async fn run_failing_chat(app: &TestApp) -> String {
    let python = std::env::var("TRACEDESK_TEST_PYTHON").expect(
        "TRACEDESK_TEST_PYTHON must name a Python that has opentelemetry-sdk; ./test sets it",
    );
    let output = Command::new(python)
        .args(["-c", AS_IN_PRODUCTION])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/failing_chat.py"
        ))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &app.address)
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            format!("authorization=Bearer%20{}", app.admin_key),
        )
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
    let printed = String::from_utf8(output.stdout).unwrap();
    between(&printed, "Trace ID: ", "\n").to_owned()
}

/// Signs in on the page that asks for it.
async fn sign_in(browser: &Browser, email: &str) {
    browser.fill("#email", email).await;
    browser.fill("#password", PASSWORD).await;
    browser.click("main button").await;
    browser.find("nav[aria-label=Desk]").await;
}

/// A browser in which a member of staff is signed in.
async fn signed_in(app: &TestApp) -> Browser {
    app.add_staff("ada@example.com", Role::Staff).await;
    let browser = Browser::open().await;
    browser.goto(app.url("/desk/sign-in")).await;
    sign_in(&browser, "ada@example.com").await;
    browser
}
