//! Mail out: what the outbox holds reaches a real mail server, whatever happens on the way.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_parser::MessageParser;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracedesk::clock::{Clock, new_id};
use tracedesk::outbox::deliver::{Delivery, Outcome, RenderError};
use tracedesk::outbox::listed::{self, Mail};
use tracedesk::outbox::mailer::Mailer;
use tracedesk::outbox::message::{MailContent, new_message_id};
use tracedesk::outbox::store::{self, Claimed, MailKind, MailState, NewMail};
use uuid::Uuid;

use crate::cluster::shared_cluster;
use crate::smtp::Smtpd;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A lease that no test outlives.
const LEASE: Duration = Duration::from_mins(10);

async fn fresh_database() -> PgPool {
    shared_cluster().fresh_database().await
}

/// What these mails say; what a staff notice says is tested beside `links::notice`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the worker hands the mail over"
)]
fn render(mail: Claimed) -> Ready<Result<MailContent, RenderError>> {
    assert_ne!(mail.recipient, "panic@example.com", "a bug in a template");
    ready(Ok(MailContent {
        subject: "[TD-7F3K2Q] uploading a PDF: provider_error in llm-gateway".to_owned(),
        text: format!("Für {}\n", mail.recipient),
        html: format!("<p>Für {}</p>", mail.recipient),
    }))
}

type Worker = Delivery<fn(Claimed) -> Ready<Result<MailContent, RenderError>>>;

fn worker(pool: &PgPool, mailer: Mailer) -> Worker {
    Delivery {
        pool: pool.clone(),
        mailer,
        from: "Desk <tracedesk@example.com>".parse().unwrap(),
        clock: Clock::fixed(noon()),
        render,
    }
}

fn smtp_worker(pool: &PgPool, server: &Smtpd) -> Worker {
    let mailer = Mailer::from_config(Some(&server.url()), Path::new("/nowhere")).unwrap();
    worker(pool, mailer)
}

fn noon() -> DateTime<Utc> {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

async fn open_ticket(pool: &PgPool) -> Uuid {
    let id = new_id();
    sqlx::query(
        "INSERT INTO tickets (id, reference, token_hash, status, created_at, updated_at, source, kind, action, page_url,
                              page_path, occurred_at)
         VALUES ($1, $2, $3, 'open', $4, $4, 'form', 'chat', 'asking', 'https://example.com/a', '/a', $4)",
    )
    .bind(id)
    .bind(format!("TD-{}", &id.simple().to_string()[26..]))
    .bind(id.as_bytes())
    .bind(noon())
    .execute(pool)
    .await
    .unwrap();
    id
}

async fn enqueue(pool: &PgPool, ticket_id: Uuid, recipient: &str, grace: Duration) -> Uuid {
    let mail = NewMail {
        message: None,
        id: new_id(),
        ticket_id,
        kind: MailKind::StaffNotice,
        recipient: recipient.to_owned(),
        message_id: new_message_id("desk.example.com"),
        grace,
        created_at: noon(),
    };
    let conn = &mut *pool.acquire().await.unwrap();
    store::enqueue(conn, &mail).await.unwrap();
    mail.id
}

/// A ticket with one mail to be sent at once.
async fn queued(pool: &PgPool, recipient: &str) -> Uuid {
    let ticket_id = open_ticket(pool).await;
    enqueue(pool, ticket_id, recipient, Duration::ZERO).await
}

async fn find(pool: &PgPool, id: Uuid) -> Mail {
    let conn = &mut *pool.acquire().await.unwrap();
    listed::find(conn, id).await.unwrap().unwrap()
}

async fn history(pool: &PgPool, mail: Uuid) -> Vec<(String, Option<String>)> {
    sqlx::query_as(
        "SELECT ticket_events.kind::text, detail FROM ticket_events JOIN outbox USING (ticket_id)
         WHERE outbox.id = $1 ORDER BY ticket_events.id",
    )
    .bind(mail)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Makes a mail due as if its delay were over.
async fn skip_delay(pool: &PgPool, id: Uuid) {
    sqlx::query("UPDATE outbox SET due_at = now() WHERE id = $1")
        .bind(id)
        .execute(pool)
        .await
        .unwrap();
}

async fn wait_until_sent(pool: &PgPool, count: i64) {
    let all_sent = async {
        loop {
            let sent: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state = 'sent'")
                .fetch_one(pool)
                .await
                .unwrap();
            if sent == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_sent)
        .await
        .expect("not all mails were sent");
}

fn run(worker: Worker, cancel: &CancellationToken) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    tokio::spawn(Arc::new(worker).run(Arc::new(Notify::new()), cancel.clone()))
}

#[tokio::test]
async fn a_mail_reaches_the_server_with_both_parts() {
    let (pool, server) = (fresh_database().await, Smtpd::start());
    let id = queued(&pool, "Support <support@example.com>").await;
    let worker = smtp_worker(&pool, &server);

    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Sent);
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Idle);

    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].to, ["support@example.com"]);
    let mail = MessageParser::default().parse(&received[0].data).unwrap();
    assert_eq!(
        mail.subject(),
        Some("[TD-7F3K2Q] uploading a PDF: provider_error in llm-gateway")
    );
    assert!(mail.body_text(0).unwrap().starts_with("Für Support"));
    assert!(mail.body_html(0).unwrap().starts_with("<p>Für Support"));
    assert_eq!(
        mail.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-generated"
    );
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-11-25T12:00:00Z");

    let row = find(&pool, id).await;
    assert_eq!((row.state, row.attempts), (MailState::Sent, 1));
    assert_eq!(row.last_response.as_deref(), Some("250 2.0.0 Taken as 1"));
    assert_eq!(row.finished_at, Some(noon()));
    let detail = Some("Support <support@example.com>".to_owned());
    assert_eq!(history(&pool, id).await, [("mail_sent".to_owned(), detail)]);
}

#[tokio::test]
async fn a_refused_mail_keeps_the_servers_words_and_can_be_sent_again() {
    let (pool, server) = (fresh_database().await, Smtpd::start());
    let id = queued(&pool, "reject-550@example.com").await;
    let worker = smtp_worker(&pool, &server);

    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Failed);

    let row = find(&pool, id).await;
    assert_eq!(row.state, MailState::Failed);
    assert_eq!(
        row.last_response.as_deref(),
        Some("550 5.1.1 No such mailbox here")
    );
    let detail = Some("reject-550@example.com: 550 5.1.1 No such mailbox here".to_owned());
    assert_eq!(
        history(&pool, id).await,
        [("mail_failed".to_owned(), detail)]
    );

    let conn = &mut *pool.acquire().await.unwrap();
    assert!(store::requeue(conn, id).await.unwrap());
    assert!(!store::requeue(conn, id).await.unwrap());
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Failed);
}

#[tokio::test]
async fn a_deferred_mail_is_tried_again_later_and_given_up_in_the_end() {
    let (pool, server) = (fresh_database().await, Smtpd::start());
    let id = queued(&pool, "defer-451@example.com").await;
    let worker = smtp_worker(&pool, &server);

    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Deferred);
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Idle);
    let row = find(&pool, id).await;
    assert_eq!((row.state, row.attempts), (MailState::Queued, 1));
    assert_eq!(
        row.last_response.as_deref(),
        Some("451 4.7.1 Greylisted, try again later")
    );

    let mut outcome = Outcome::Deferred;
    while outcome == Outcome::Deferred {
        skip_delay(&pool, id).await;
        outcome = worker.deliver_once().await.unwrap();
    }
    assert_eq!(outcome, Outcome::Failed);
    let row = find(&pool, id).await;
    assert_eq!((row.state, row.attempts), (MailState::Failed, 37));
    let words = row.last_response.unwrap();
    assert!(words.starts_with("given up after 5 days") && words.contains("451"));
}

#[tokio::test]
async fn while_the_server_is_away_no_attempt_is_counted() {
    let (pool, mut server) = (fresh_database().await, Smtpd::down());
    let id = queued(&pool, "support@example.com").await;
    let worker = smtp_worker(&pool, &server);

    for _ in 0..3 {
        let outcome = worker.deliver_once().await.unwrap();
        assert!(matches!(outcome, Outcome::Unreachable(_)), "{outcome:?}");
    }
    let row = find(&pool, id).await;
    assert_eq!((row.state, row.attempts), (MailState::Queued, 0));

    let cancel = CancellationToken::new();
    let running = run(worker, &cancel);
    server.come_up();
    wait_until_sent(&pool, 1).await;
    cancel.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_server_that_dies_with_open_connections_is_found_again() {
    let (pool, mut server) = (fresh_database().await, Smtpd::start());
    let worker = smtp_worker(&pool, &server);
    queued(&pool, "first@example.com").await;
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Sent);

    server.go_down();
    let id = queued(&pool, "second@example.com").await;
    let outcome = worker.deliver_once().await.unwrap();
    assert!(matches!(outcome, Outcome::Unreachable(_)), "{outcome:?}");
    assert_eq!(find(&pool, id).await.attempts, 0);

    server.come_up();
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Sent);
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_mail_that_breaks_its_dialogue_does_not_hold_up_the_others() {
    let (pool, server) = (fresh_database().await, Smtpd::start());
    let worker = smtp_worker(&pool, &server);
    let id = queued(&pool, "drop@example.com").await;
    queued(&pool, "support@example.com").await;

    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Deferred);
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Sent);
    assert_eq!(find(&pool, id).await.attempts, 1);
}

#[tokio::test]
async fn a_bug_in_rendering_and_a_bad_address_cost_only_their_own_mail() {
    let (pool, server) = (fresh_database().await, Smtpd::start());
    let worker = smtp_worker(&pool, &server);
    let bug = queued(&pool, "panic@example.com").await;
    let bad = queued(&pool, "nobody").await;
    queued(&pool, "support@example.com").await;

    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Deferred);
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Failed);
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Sent);
    assert_eq!(find(&pool, bug).await.state, MailState::Queued);
    let words = find(&pool, bad).await.last_response.unwrap();
    assert!(words.contains("TRACEDESK_NOTIFY"), "{words}");
}

#[tokio::test]
async fn finishing_with_a_lost_lease_changes_nothing() {
    let pool = fresh_database().await;
    let id = queued(&pool, "support@example.com").await;
    let conn = &mut *pool.acquire().await.unwrap();

    let late = store::claim_due(conn, 1, Duration::ZERO)
        .await
        .unwrap()
        .remove(0);
    let holder = store::claim_due(conn, 1, LEASE).await.unwrap().remove(0);
    assert_eq!((late.id, holder.id), (id, id));
    assert!(store::claim_due(conn, 1, LEASE).await.unwrap().is_empty());

    assert!(
        !store::finish_sent(conn, &late, "250", noon())
            .await
            .unwrap()
    );
    assert!(
        !store::finish_failed(conn, &late, "550", noon())
            .await
            .unwrap()
    );
    assert!(
        !store::retry_later(conn, &late, "451", Duration::ZERO)
            .await
            .unwrap()
    );
    assert!(!store::release(conn, &late, "network").await.unwrap());
    let row = find(&pool, id).await;
    assert_eq!(
        (row.state, row.attempts, row.last_response),
        (MailState::Queued, 0, None)
    );
    assert!(history(&pool, id).await.is_empty());

    assert!(
        store::finish_sent(conn, &holder, "250", noon())
            .await
            .unwrap()
    );
    assert!(
        !store::finish_sent(conn, &holder, "250", noon())
            .await
            .unwrap()
    );
    assert_eq!(history(&pool, id).await.len(), 1);
}

#[tokio::test]
async fn a_mail_waits_for_its_trace_and_goes_at_once_when_it_comes() {
    let pool = fresh_database().await;
    let ticket_id = open_ticket(&pool).await;
    let id = enqueue(&pool, ticket_id, "support@example.com", LEASE).await;
    let conn = &mut *pool.acquire().await.unwrap();

    assert!(store::claim_due(conn, 1, LEASE).await.unwrap().is_empty());
    assert!(find(&pool, id).await.awaits_trace);
    assert_eq!(store::hasten(conn, ticket_id).await.unwrap(), 1);
    assert_eq!(store::hasten(conn, ticket_id).await.unwrap(), 0);
    assert_eq!(store::claim_due(conn, 1, LEASE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_workers_send_each_mail_once() {
    const MAILS: usize = 60;
    let (pool, server) = (fresh_database().await, Smtpd::start());
    let ticket_id = open_ticket(&pool).await;
    for number in 0..MAILS {
        enqueue(
            &pool,
            ticket_id,
            &format!("staff{number}@example.com"),
            Duration::ZERO,
        )
        .await;
    }

    let cancel = CancellationToken::new();
    let workers = [1, 2].map(|_| run(smtp_worker(&pool, &server), &cancel));
    wait_until_sent(&pool, i64::try_from(MAILS).unwrap()).await;
    cancel.cancel();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }

    let received = server.received();
    let recipients: BTreeSet<_> = received.iter().flat_map(|mail| &mail.to).collect();
    assert_eq!((received.len(), recipients.len()), (MAILS, MAILS));
}

#[tokio::test]
async fn without_a_server_mails_become_files() {
    let (pool, folder) = (fresh_database().await, tempfile::tempdir().unwrap());
    let id = queued(&pool, "support@example.com").await;
    let worker = worker(&pool, Mailer::from_config(None, folder.path()).unwrap());

    worker.mailer.check().await.unwrap();
    assert_eq!(worker.deliver_once().await.unwrap(), Outcome::Sent);

    let path = folder.path().join(format!("mail/{id}.eml"));
    let bytes = std::fs::read(path).unwrap();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(
        mail.to().unwrap().first().unwrap().address(),
        Some("support@example.com")
    );
    assert_eq!(
        std::fs::read_dir(folder.path().join("mail"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn the_desk_pages_through_mails_newest_first() {
    let pool = fresh_database().await;
    let ticket_id = open_ticket(&pool).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(
            enqueue(
                &pool,
                ticket_id,
                &format!("staff{number}@example.com"),
                LEASE,
            )
            .await,
        );
    }
    ids.reverse();

    let conn = &mut *pool.acquire().await.unwrap();
    let first = listed::recent(conn, None, 3).await.unwrap();
    let cursor = first.last().map(|mail| (mail.created_at, mail.id));
    let rest = listed::recent(conn, cursor, 3).await.unwrap();
    let paged: Vec<Uuid> = first.iter().chain(&rest).map(|mail| mail.id).collect();
    assert_eq!(paged, ids);
    assert!(first[0].reference.starts_with("TD-"));
}

#[tokio::test]
async fn a_check_says_what_is_wrong_with_the_mail_server() {
    let (up, down) = (Smtpd::start(), Smtpd::down());
    let mailer =
        |server: &Smtpd| Mailer::from_config(Some(&server.url()), Path::new("/nowhere")).unwrap();
    mailer(&up).check().await.unwrap();
    let words = mailer(&down).check().await.unwrap_err().to_string();
    assert!(words.contains("SMTP_URL"), "{words}");
    assert!(Mailer::from_config(Some("http://mail.example.com"), Path::new("/nowhere")).is_err());
}
