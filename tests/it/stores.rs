//! Screenshots in a store that speaks S3: a real one, moto's server.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use chrono::TimeDelta;
use image::{DynamicImage, ImageFormat};
use reqwest::multipart::{Form, Part};
use tracedesk::clock::Clock;

use crate::app::{TestApp, eventually, noon};

const BUCKET: &str = "shots";

/// The store; dropping it ends it. What was in it is gone when it comes up again.
struct Store {
    process: Option<Child>,
    port: u16,
}

impl Store {
    /// A store that is not up yet: its port refuses connections.
    fn down() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            process: None,
            port: listener.local_addr().unwrap().port(),
        }
    }

    /// Starts it, with an empty bucket.
    async fn come_up(&mut self, app: &TestApp) {
        let python = std::env::var("TRACEDESK_TEST_PYTHON")
            .expect("TRACEDESK_TEST_PYTHON must name a Python that has moto; ./test sets it");
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/s3.py"))
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.trim(), self.port.to_string(), "s3.py did not start");
        self.process = Some(process);
        let made = app.http.put(format!("{}/{BUCKET}", self.url())).send();
        assert_eq!(made.await.unwrap().status(), 200);
    }

    fn go_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the bucket lists.
    async fn list(&self, app: &TestApp) -> String {
        let listed = app.http.get(format!("{}/{BUCKET}?list-type=2", self.url()));
        listed.send().await.unwrap().text().await.unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.go_down();
    }
}

async fn start(store: &Store, clock: &Clock) -> TestApp {
    TestApp::builder()
        .clock(clock.clone())
        .setting("TRACEDESK_ATTACHMENTS", &format!("s3://{BUCKET}/desk"))
        .setting("AWS_ENDPOINT_URL", &store.url())
        .setting("AWS_ACCESS_KEY_ID", "tracedesk")
        .setting("AWS_SECRET_ACCESS_KEY", "a secret")
        .start()
        .await
}

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::new_rgb8(40, 30)
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// Opens a ticket with a screenshot; the path of the picture for its reporter.
async fn open(app: &TestApp) -> String {
    let form = Form::new()
        .text("action", "uploading a 40-page PDF")
        .text("page_url", "https://app.example.com/docs/7")
        .text("occurred_at", app.state.clock.now().to_rfc3339())
        .part("attachments", Part::bytes(png()).file_name("shot.png"));
    let request = app.post("/api/v1/tickets").bearer_auth(&app.admin_key);
    let response = request.multipart(form).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let ticket: serde_json::Value = response.json().await.unwrap();
    let page = ticket["url"].as_str().unwrap();
    let html = app
        .http
        .get(page)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let (_, rest) = html.split_once("/screenshots/").unwrap();
    let id = rest.split(['"', '/']).next().unwrap();
    let path = page.strip_prefix(&app.address).unwrap();
    format!("{path}/screenshots/{id}")
}

/// Pictures in Postgres, and in the store.
async fn places(app: &TestApp) -> (i64, i64) {
    sqlx::query_as("SELECT count(content), count(stored_as) FROM attachments")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

async fn move_pictures(app: &TestApp) -> bool {
    let moved = app.state.blobs.move_pictures(&app.pool, &app.state.clock);
    moved.await.is_ok()
}

async fn picture(app: &TestApp, path: &str) -> Vec<u8> {
    let response = app.get(path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    response.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn pictures_move_to_the_store_when_it_is_there_and_are_served_from_here() {
    let (mut store, clock) = (Store::down(), Clock::fixed(noon()));
    let app = start(&store, &clock).await;
    // A store that is away costs nobody anything.
    let path = open(&app).await;
    let before = picture(&app, &path).await;
    assert!(!move_pictures(&app).await);
    assert_eq!(places(&app).await, (1, 0));

    store.come_up(&app).await;
    app.state.blobs.check().await.unwrap();
    assert!(
        !store.list(&app).await.contains("<Key>"),
        "the check clears up"
    );
    assert!(move_pictures(&app).await);
    assert_eq!(places(&app).await, (0, 1));
    let listed = store.list(&app).await;
    assert_eq!(listed.matches("<Key>desk/").count(), 1, "{listed}");
    assert_eq!(picture(&app, &path).await, before);
    let bytes: i32 = sqlx::query_scalar("SELECT stored_bytes FROM attachments")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(usize::try_from(bytes).unwrap(), before.len());

    store.go_down();
    let response = app.get(&path).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!(response.text().await.unwrap().contains("<h1"), "a page");
    app.finish().await;
}

#[tokio::test]
async fn objects_whose_picture_is_gone_are_deleted() {
    let (mut store, clock) = (Store::down(), Clock::fixed(noon()));
    let app = start(&store, &clock).await;
    open(&app).await;
    assert!(!move_pictures(&app).await, "announced, and not stored");
    store.come_up(&app).await;
    open(&app).await;
    assert!(move_pictures(&app).await);
    assert_eq!(store.list(&app).await.matches("<Key>").count(), 2);
    eventually("its mails are sent", async || {
        app.mails_waiting().await == 0
    })
    .await;
    sqlx::query("DELETE FROM tickets WHERE id = (SELECT min(id::text)::uuid FROM tickets)")
        .execute(&app.pool)
        .await
        .unwrap();
    let sweep = || app.state.blobs.delete_orphans(&app.pool, &app.state.clock);
    sweep().await.unwrap();
    assert_eq!(
        store.list(&app).await.matches("<Key>").count(),
        2,
        "too early"
    );
    clock.set(noon() + TimeDelta::minutes(61));
    sweep().await.unwrap();
    assert_eq!(store.list(&app).await.matches("<Key>").count(), 1);
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM stored_objects")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(known, 1);
    app.finish().await;
}
