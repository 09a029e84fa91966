//! The whole service for a test: real server on a port of its own, real Postgres, real mail, background tasks running.
//!
//! A test starts one with [`TestApp::start`], speaks to it by verbs, and ends it with [`TestApp::finish`], which
//! fails the test when a background task died or a mail was left in the outbox. Nothing here sleeps blindly: what
//! takes time is waited for by [`eventually`].

use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use mail_parser::MessageParser;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use reqwest::{Client, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracedesk::access::api_key::{ApiKey, KeyKind, Scope};
use tracedesk::access::session::Role;
use tracedesk::access::store::Rights;
use tracedesk::access::{password, store as access};
use tracedesk::clock::Clock;
use tracedesk::config::Config;
use tracedesk::failure_rule::FailureRules;
use tracedesk::ingest::writer;
use tracedesk::intake::guard::seal;
use tracedesk::outbox::admission::HELD;
use tracedesk::outbox::mailer::{MAIL_FOLDER, Mailer};
use tracedesk::state::AppState;
use tracedesk::tickets::blobs::Blobs;
use tracedesk::traces::store as traces;
use tracedesk::workers::Workers;
use tracedesk::{server, telemetry};

use crate::cluster::shared_cluster;
use crate::smtp::Smtpd;

/// How long a condition may take to come true on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The password of everybody whom [`TestApp::sign_in`] signs in.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A running service.
pub(crate) struct TestApp {
    /// Where it is reached: `http://127.0.0.1:` and the real port, whatever `TRACEDESK_BASE_URL` says.
    pub(crate) address: String,
    /// Its database.
    pub(crate) pool: PgPool,
    /// What its handlers share; `state.config`, `state.clock` and `state.resolver` among it.
    pub(crate) state: AppState,
    /// A client without cookies that follows no redirect.
    pub(crate) http: Client,
    /// A key that may do everything.
    pub(crate) admin_key: String,
    data: TempDir,
    smtp: Option<Smtpd>,
    mails_read: AtomicUsize,
    running: Option<Running>,
}

struct Running {
    workers: Workers,
    server: JoinHandle<std::io::Result<()>>,
    handle: actix_web::dev::ServerHandle,
}

/// What a test may set before the start.
pub(crate) struct Builder {
    clock: Clock,
    settings: Vec<(String, String)>,
    has_smtp: bool,
    queue_bytes: usize,
    pool: Option<PgPool>,
    failure_rules: FailureRules,
}

impl Builder {
    /// A clock instead of the system's, e.g. `Clock::fixed`.
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A setting as an operator gives it, e.g. `("TRACEDESK_LINK_GRACE_SECS", "600")`.
    pub(crate) fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Mail by a real SMTP server instead of files.
    pub(crate) fn smtp(mut self) -> Self {
        self.has_smtp = true;
        self
    }

    /// Rules for failure classes, as `tracedesk.toml` has them.
    pub(crate) fn failure_rules(mut self, text: &str) -> Self {
        let mut file: toml::Table = text.parse().unwrap();
        let rules = file.remove("failure_rule").unwrap();
        self.failure_rules = FailureRules::parse(rules).unwrap();
        self
    }

    /// Another bound of the ingest queue.
    pub(crate) fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Another database than a fresh one of the shared cluster.
    pub(crate) fn pool(mut self, pool: PgPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Starts the service.
    pub(crate) async fn start(self) -> TestApp {
        init_telemetry();
        let pool = match self.pool {
            Some(pool) => pool,
            None => shared_cluster().fresh_database().await,
        };
        let data = TempDir::new().unwrap();
        let smtp = self.has_smtp.then(Smtpd::start);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let mut config = configure(
            &self.settings,
            &listen,
            data.path(),
            smtp.as_ref().map(Smtpd::url),
        );
        config.failure_rules = self.failure_rules.into();
        let smtp_url = config
            .smtp_url
            .as_ref()
            .map(|url| url.expose_secret().to_owned());
        let mailer = Mailer::from_config(smtp_url.as_deref(), data.path()).unwrap();
        let (queue, writers) = writer::queue(self.queue_bytes);
        let blobs = Blobs::new(config.attachments.as_ref()).unwrap();
        let state = AppState {
            blobs,
            ..AppState::new(pool.clone(), config, self.clock, queue)
        };
        let today = state.clock.now().date_naive();
        traces::ensure_partitions(&mut pool.acquire().await.unwrap(), today)
            .await
            .unwrap();
        let workers = Workers::start(&state, writers, mailer);
        let server = server::serve(listener, state.clone()).unwrap();
        let running = Running {
            workers,
            handle: server.handle(),
            server: tokio::spawn(server),
        };
        let mut app = TestApp {
            address: format!("http://{listen}"),
            pool,
            state,
            http: client(),
            admin_key: String::new(),
            data,
            smtp,
            mails_read: AtomicUsize::new(0),
            running: Some(running),
        };
        app.admin_key = app.key(&[Scope::Admin]).await;
        app
    }
}

/// Settings that a test did not give: as an operator's, with links to the real port.
fn configure(
    settings: &[(String, String)],
    listen: &str,
    data: &Path,
    smtp_url: Option<String>,
) -> Config {
    let defaults = [
        ("TRACEDESK_LISTEN", Some(listen.to_owned())),
        ("TRACEDESK_DATA_DIR", Some(data.display().to_string())),
        ("TRACEDESK_NOTIFY", Some("support@example.com".to_owned())),
        ("SMTP_URL", smtp_url),
    ];
    Config::from_values(|name| {
        let given = settings.iter().find(|(given, _)| given == name);
        given.map(|(_, value)| value.clone()).or_else(|| {
            let default = defaults.iter().find(|(default, _)| *default == name);
            default.and_then(|(_, value)| value.clone())
        })
    })
    .unwrap()
}

/// Once a process, with what clients need. `TRACEDESK_TEST_LOG=debug` shows what the service logs.
fn init_telemetry() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let directives = std::env::var("TRACEDESK_TEST_LOG").unwrap_or_else(|_| "off".to_owned());
        telemetry::init(&directives, false).unwrap();
        // reqwest, as the object store has it, brings no cryptography of its own.
        let _is_set = rustls::crypto::ring::default_provider().install_default();
    });
}

fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// What the subject of each receipt to a reporter says.
const TO_REPORTERS: &str = "We have your report";

impl TestApp {
    /// A service with the system's clock, mail into files, and links to its real port.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A service with other settings.
    pub(crate) fn builder() -> Builder {
        Builder {
            clock: Clock::system(),
            settings: Vec::new(),
            has_smtp: false,
            queue_bytes: writer::QUEUE_BYTES,
            pool: None,
            failure_rules: FailureRules::default(),
        }
    }

    /// The full address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// A GET without cookies.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    /// A POST without cookies.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// A new key with these scopes.
    pub(crate) async fn key(&self, scopes: &[Scope]) -> String {
        self.new_key(KeyKind::Secret, Rights::Secret(scopes)).await
    }

    /// A new key for pages of these origins.
    pub(crate) async fn publishable_key(&self, origins: &[&str]) -> String {
        let origins: Vec<_> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let rights = Rights::Publishable(&origins);
        self.new_key(KeyKind::Publishable, rights).await
    }

    async fn new_key(&self, kind: KeyKind, rights: Rights<'_>) -> String {
        let key = ApiKey::generate(kind);
        let conn = &mut *self.pool.acquire().await.unwrap();
        let now = self.state.clock.now();
        access::insert_key(conn, "acme", "a test's", rights, key.hash(), now)
            .await
            .unwrap();
        key.reveal().expose_secret().to_owned()
    }

    /// A valid report of now; tests change its fields.
    pub(crate) fn report(&self) -> Value {
        json!({
            "action": "uploading a 40-page PDF",
            "page_url": "https://app.example.com/docs/7",
            "occurred_at": self.state.clock.now().to_rfc3339(),
            "email": "reporter@example.com",
            "kind": "upload",
        })
    }

    /// A valid report with this trace ID.
    pub(crate) fn report_of(&self, trace_id: &str) -> Value {
        let mut report = self.report();
        report["trace_id"] = trace_id.into();
        report
    }

    /// What the form brings back of the moment it was opened: so long ago.
    pub(crate) async fn seal(&self, ago: chrono::TimeDelta) -> String {
        let secret = self.state.secret.get(&self.pool, &self.state.clock).await;
        seal::seal(secret.unwrap(), self.state.clock.now() - ago)
    }

    /// `POST /api/v1/tickets`.
    pub(crate) async fn send_report(&self, report: &Value) -> Response {
        self.post("/api/v1/tickets")
            .bearer_auth(&self.admin_key)
            .json(report)
            .send()
            .await
            .unwrap()
    }

    /// Opens a ticket; the answer's body.
    pub(crate) async fn open_ticket(&self, report: &Value) -> Value {
        let response = self.send_report(report).await;
        let status = response.status();
        let body = response.text().await.unwrap();
        assert_eq!(status, 201, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// `GET /api/v1/tickets/{id}`.
    pub(crate) async fn ticket(&self, id: &str) -> Value {
        let response = self.read(&format!("/api/v1/tickets/{id}")).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// A GET of the API with the admin's key.
    pub(crate) async fn read(&self, path: &str) -> Response {
        let request = self.get(path).bearer_auth(&self.admin_key);
        request.send().await.unwrap()
    }

    /// Exports spans as protobuf, which must be taken.
    pub(crate) async fn send_spans(&self, data: &TracesData) {
        let response = self
            .post("/v1/traces")
            .bearer_auth(&self.admin_key)
            .header("content-type", "application/x-protobuf")
            .body(data.encode_to_vec())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }

    /// Adds a member of staff with [`PASSWORD`], or gives one this password.
    pub(crate) async fn add_staff(&self, email: &str, role: Role) {
        let hash = tokio::task::spawn_blocking(|| password::hash(&PASSWORD.into()))
            .await
            .unwrap()
            .unwrap();
        let conn = &mut *self.pool.acquire().await.unwrap();
        access::upsert_staff(conn, email, &hash, role, self.state.clock.now())
            .await
            .unwrap();
    }

    /// `POST /desk/sign-in` by this client.
    pub(crate) async fn try_sign_in(
        &self,
        client: &Client,
        email: &str,
        password: &str,
    ) -> Response {
        client
            .post(self.url("/desk/sign-in"))
            .form(&[("email", email), ("password", password), ("next", "/desk")])
            .send()
            .await
            .unwrap()
    }

    /// Adds a member of staff and signs them in.
    pub(crate) async fn sign_in(&self, email: &str) -> Desk {
        self.add_staff(email, Role::Staff).await;
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .cookie_store(true)
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let response = self.try_sign_in(&http, email, PASSWORD).await;
        assert_eq!(response.status(), 303);
        let mut desk = Desk {
            http,
            address: self.address.clone(),
            csrf_token: String::new(),
        };
        let page = desk.page("/desk").await;
        between(&page, "name=\"csrf_token\" value=\"", "\"").clone_into(&mut desk.csrf_token);
        desk
    }

    /// The next mail that was sent to staff, in the order of sending; waits for it.
    pub(crate) async fn mail(&self) -> Mail {
        let number = self.mails_read.fetch_add(1, Ordering::SeqCst);
        let to_staff = || {
            let staff = |mail: &Mail| !mail.subject.contains(TO_REPORTERS);
            self.mails().into_iter().filter(staff).collect::<Vec<_>>()
        };
        eventually("a mail is sent to staff", async || {
            to_staff().len() > number
        })
        .await;
        to_staff().swap_remove(number)
    }

    /// The first mail to this address; waits for it.
    pub(crate) async fn mail_to(&self, address: &str) -> Mail {
        let find = || self.mails().into_iter().find(|mail| mail.to == address);
        eventually("a mail is sent", async || find().is_some()).await;
        find().unwrap()
    }

    /// All mails sent so far.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        if let Some(smtp) = &self.smtp {
            let received = smtp.received();
            return received.iter().map(|mail| Mail::read(&mail.data)).collect();
        }
        let Ok(folder) = std::fs::read_dir(self.data.path().join(MAIL_FOLDER)) else {
            return Vec::new();
        };
        let mut files: Vec<_> = folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
            .map(|path| (path.metadata().unwrap().modified().unwrap(), path))
            .collect();
        files.sort();
        files
            .iter()
            .map(|(_, path)| Mail::read(&std::fs::read(path).unwrap()))
            .collect()
    }

    /// Runs the `tracedesk` program on this service's database; `stdin` is what it reads.
    pub(crate) async fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        self.run_set(arguments, &[], stdin).await
    }

    /// The same with other settings.
    pub(crate) async fn run_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        self.run_set(arguments, settings, "").await
    }

    async fn run_set(&self, arguments: &[&str], settings: &[(&str, &str)], stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tracedesk"))
            .args(arguments)
            .envs(settings.iter().copied())
            .current_dir(self.data.path())
            .env_remove("DATABASE_DIRECT_URL")
            .env("DATABASE_URL", database_url(&self.pool))
            .env("TRACEDESK_DATA_DIR", self.data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // A program that reads nothing may have ended by now.
        let _ended = input.write_all(stdin.as_bytes()).await;
        drop(input);
        child.wait_with_output().await.unwrap()
    }

    /// Runs the `tracedesk` program, which must succeed; what it printed.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "").await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) async fn count_tickets(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM tickets")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Mails that are neither sent nor given up, nor held because their address had many.
    pub(crate) async fn mails_waiting(&self) -> i64 {
        let waiting = "SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'failed') AND last_response IS DISTINCT FROM $1";
        sqlx::query_scalar(waiting)
            .bind(HELD)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Ends the service: no background task may have died, and every mail must go out; the first mail of a ticket that
    /// waits for its trace takes 10 seconds.
    pub(crate) async fn finish(self) {
        let sent = async || self.mails_waiting().await == 0;
        eventually("every mail of the outbox is sent", sent).await;
        self.finish_with_mail_waiting(0).await;
    }

    /// Ends the service with this many mails in the outbox that wait for something that this test does not bring.
    pub(crate) async fn finish_with_mail_waiting(mut self, count: i64) {
        assert_eq!(self.mails_waiting().await, count, "mails in the outbox");
        self.stop().await;
        self.pool.close().await;
    }

    /// Ends server and tasks as a shutdown does, whatever is in the outbox.
    pub(crate) async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        if let Some(ended) = running.workers.watch().now_or_never() {
            ended.expect("no background task ends by itself");
        }
        running.handle.stop(true).await;
        running.server.await.unwrap().unwrap();
        running.workers.stop().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let is_ended = self.running.is_none() || std::thread::panicking();
        assert!(
            is_ended,
            "end the test with app.finish().await, which looks for dead tasks and mail left behind"
        );
    }
}

/// A member of staff's browser: a signed-in client.
pub(crate) struct Desk {
    /// The client with the session's cookie.
    pub(crate) http: Client,
    /// What its forms carry.
    pub(crate) csrf_token: String,
    address: String,
}

impl Desk {
    /// A GET.
    pub(crate) async fn get(&self, path: &str) -> Response {
        let url = format!("{}{path}", self.address);
        self.http.get(url).send().await.unwrap()
    }

    /// A page that must be there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Sends a form with the session's token.
    pub(crate) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let token = [("csrf_token", self.csrf_token.as_str())];
        let fields: Vec<_> = token.iter().chain(fields).copied().collect();
        let url = format!("{}{path}", self.address);
        self.http.post(url).form(&fields).send().await.unwrap()
    }
}

/// A mail as its recipient has it.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// The first recipient's address.
    pub(crate) to: String,
    /// The subject, decoded.
    pub(crate) subject: String,
    /// The text part.
    pub(crate) text: String,
    /// The HTML part.
    pub(crate) html: String,
}

impl Mail {
    fn read(data: &[u8]) -> Self {
        let mail = MessageParser::default().parse(data).unwrap();
        let to = mail.to().and_then(|to| to.first()?.address.as_deref());
        Self {
            to: to.unwrap_or_default().to_owned(),
            subject: mail.subject().unwrap_or_default().to_owned(),
            text: mail.body_text(0).unwrap_or_default().into_owned(),
            html: mail.body_html(0).unwrap_or_default().into_owned(),
        }
    }
}

/// For `DATABASE_URL`: the database of a pool on the shared cluster.
pub(crate) fn database_url(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let socket = options.get_socket().unwrap().display().to_string();
    let mut url = url::Url::parse("postgres://localhost").unwrap();
    url.set_username(options.get_username()).unwrap();
    url.set_path(options.get_database().unwrap());
    url.query_pairs_mut()
        .append_pair("host", &socket)
        .append_pair("port", &options.get_port().to_string())
        .append_pair("sslmode", "disable");
    url.into()
}

/// Waits for a condition, and fails when it does not come true.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What stands between two marks in a text.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split_once(after).unwrap().0
}

/// Noon of a day, for fixed clocks.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn a_service_starts_answers_and_ends() {
    let app = TestApp::builder().smtp().start().await;
    let response = app.get("/readyz").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let ticket = app.open_ticket(&app.report()).await;
    let mail = app.mail().await;
    assert_eq!(mail.to, "support@example.com");
    assert!(mail.subject.contains(ticket["reference"].as_str().unwrap()));
    let desk = app.sign_in("ada@example.com").await;
    assert!(desk.page("/desk").await.contains("uploading a 40-page PDF"));
    assert!(app.cli(&["key", "list"]).await.contains("acme"));
    app.finish().await;
}
