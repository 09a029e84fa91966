//! The join of tickets and traces: in either order, at the same moment, in parts, by any reading of what was typed.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use serde_json::Value;
use tracedesk::clock::Clock;
use tracedesk::failure_rule::FailureRules;

use crate::app::{TestApp, eventually, noon};
use crate::spans::{export, failed, failing_trace, new_trace_id, span};

/// Tickets that race with their traces.
const RACES: usize = 2_400;
/// Races under way at once.
const AT_ONCE: usize = 24;

fn id_of(ticket: &Value) -> String {
    ticket["id"].as_str().unwrap().to_owned()
}

async fn states(app: &TestApp) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT state::text, count(*) FROM links GROUP BY state")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    rows.into_iter().collect()
}

/// One ticket and its trace in two parts, sent by different connections within some milliseconds, in an order that
/// differs from race to race: in a third of them nothing comes after the report.
async fn race(app: &TestApp, number: usize) {
    let trace_id = new_trace_id();
    let report = app.report_of(&trace_id);
    let first = export("api", vec![span(&trace_id, 1, 0, "POST /chat")]);
    let second = export(
        "worker",
        vec![failed(span(&trace_id, 2, 1, "answer"), "E", "out of luck")],
    );
    let after = |ms| tokio::time::sleep(Duration::from_millis(ms));
    let offset = |step: usize| (number * step % 13) as u64;
    let (ticket, (), ()) = tokio::join!(
        async {
            after(offset(5)).await;
            app.open_ticket(&report).await
        },
        async {
            after(offset(7) / 2).await;
            app.send_spans(&first).await;
        },
        async {
            after(offset(11) / 2).await;
            app.send_spans(&second).await;
        },
    );
    assert_eq!(ticket["trace"]["id"], trace_id.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_race_of_a_report_with_its_trace_is_lost() {
    let app = TestApp::builder()
        .setting("TRACEDESK_NOTIFY", "")
        .start()
        .await;
    for batch in (0..RACES).collect::<Vec<_>>().chunks(AT_ONCE) {
        futures_util::future::join_all(batch.iter().map(|&number| race(&app, number))).await;
        // At once, all doors having answered: the sweep, which comes once a minute, must not be needed.
        let states = states(&app).await;
        assert!(states.keys().eq(["linked"]), "{states:?}");
    }
    let expected = BTreeMap::from([("linked".to_owned(), i64::try_from(RACES).unwrap())]);
    assert_eq!(states(&app).await, expected);
    // Whichever came last, the failure of the second part is known, and both parts are pinned.
    let without: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM links WHERE failure_message IS DISTINCT FROM 'E: out of luck'",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(without, 0);
    let pinned: i64 = sqlx::query_scalar("SELECT count(*) FROM pinned_parts")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(pinned, 2 * i64::try_from(RACES).unwrap());
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM ticket_events WHERE kind = 'linked'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(told, i64::try_from(RACES).unwrap(), "each once");
    app.finish().await;
}

#[tokio::test]
async fn a_part_that_is_stored_while_another_is_being_linked_is_seen() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    let mut other = app.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM links FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let first = export("api", vec![span(&trace_id, 1, 0, "POST /chat")]);
    let below = failed(span(&trace_id, 2, 1, "answer"), "E", "out of luck");
    let second = export("worker", vec![below]);
    tokio::join!(app.send_spans(&first), async {
        let waits = async || is_waiting_for_a_lock(&app).await;
        eventually("the first part's link waits its turn", waits).await;
        store_without_look(&app, &second).await;
        other.commit().await.unwrap();
    });
    let is_linked = async || app.ticket(&id_of(&ticket)).await["trace"]["state"] == "linked";
    eventually("the ticket is linked", is_linked).await;
    let ticket = app.ticket(&id_of(&ticket)).await;
    assert_eq!(ticket["trace"]["failure"]["class"], "internal_error");
    app.finish().await;
}

async fn is_waiting_for_a_lock(app: &TestApp) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock')",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_later_part_makes_the_failure_more_exact() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let top = failed(
        span(&trace_id, 1, 0, "POST /chat"),
        "ServerError",
        "no answer",
    );
    app.send_spans(&export("api", vec![top])).await;
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    assert_eq!(ticket["trace"]["failure"]["class"], "internal_error");
    let below = failed(span(&trace_id, 2, 1, "query"), "TimeoutError", "timed out");
    app.send_spans(&export("db", vec![below])).await;
    let ticket = app.ticket(&id_of(&ticket)).await;
    assert_eq!(ticket["trace"]["failure"]["class"], "timeout");
    let desk = app.sign_in("ada@example.com").await;
    let page = desk
        .page(&format!("/desk/tickets/{}", id_of(&ticket)))
        .await;
    assert!(page.contains("timed out"));
    app.finish().await;
}

#[tokio::test]
async fn of_two_readings_the_stored_one_is_taken() {
    let app = TestApp::start().await;
    // Datadog's decimal form has only digits, so it may be hex as well.
    let typed = "1234567890123456";
    let as_decimal = format!("{:032x}", 1_234_567_890_123_456_u128);
    let as_hex = format!("{typed:0>32}");
    for trace_id in [as_decimal, as_hex] {
        let early = app.open_ticket(&app.report_of(typed)).await;
        assert_eq!(early["trace"]["state"], "waiting");
        app.send_spans(&failing_trace(&trace_id)).await;
        let early = app.ticket(&id_of(&early)).await;
        assert_eq!(early["trace"]["state"], "linked");
        assert_eq!(early["trace"]["id"], trace_id.as_str());
        let late = app.open_ticket(&app.report_of(typed)).await;
        assert_eq!(late["trace"]["id"], trace_id.as_str());
        forget(&app).await;
    }
    app.finish().await;
}

async fn forget(app: &TestApp) {
    sqlx::query("TRUNCATE trace_parts, pinned_parts")
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_span_id_leads_to_its_trace() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let spans = vec![
        span(&trace_id, 0x0011_2233_4455_6677, 0, "root"),
        span(
            &trace_id,
            0x8899_aabb_ccdd_eeff,
            0x0011_2233_4455_6677,
            "child",
        ),
    ];
    app.send_spans(&export("api", spans)).await;
    let ticket = app.open_ticket(&app.report_of("8899AABBCCDDEEFF")).await;
    let address = format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap());
    // The search reads much, so it comes after the answer.
    eventually("the span's trace is linked", async || {
        let shown: Value = app.read(&address).await.json().await.unwrap();
        shown["trace"]["state"] == "linked" && shown["trace"]["id"] == trace_id.as_str()
    })
    .await;
    // The same last four bytes are not the same span.
    let ticket = app.open_ticket(&app.report_of("1199aabbccddeeff")).await;
    assert_eq!(ticket["trace"]["state"], "waiting");
    let drawn = app.cli(&["trace", "8899aabbccddeeff"]).await;
    assert!(drawn.starts_with(&format!("trace {trace_id}")));
    app.finish().await;
}

#[tokio::test]
async fn a_span_that_comes_after_its_report_is_found_by_the_sweep() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report_of("8899aabbccddeeff")).await;
    let trace_id = new_trace_id();
    let late = span(&trace_id, 0x8899_aabb_ccdd_eeff, 0, "late");
    app.send_spans(&export("api", vec![late])).await;
    app.state.resolver.sweep().await.unwrap();
    let ticket = app.ticket(&id_of(&ticket)).await;
    assert_eq!(ticket["trace"]["state"], "linked");
    assert_eq!(ticket["trace"]["id"], trace_id.as_str());
    app.finish().await;
}

#[tokio::test]
async fn a_missing_trace_that_comes_after_all_is_linked() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder().clock(clock.clone()).start().await;
    let trace_id = new_trace_id();
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    app.state.resolver.sweep().await.unwrap();
    let waiting = app.ticket(&id_of(&ticket)).await;
    assert_eq!(waiting["trace"]["state"], "waiting");
    clock.set(noon() + TimeDelta::minutes(16));
    app.state.resolver.sweep().await.unwrap();
    let missing = app.ticket(&id_of(&ticket)).await;
    assert_eq!(missing["trace"]["state"], "missing");
    app.send_spans(&failing_trace(&trace_id)).await;
    let linked = app.ticket(&id_of(&ticket)).await;
    assert_eq!(linked["trace"]["state"], "linked");
    let history: Vec<String> = sqlx::query_scalar(
        "SELECT kind::text FROM ticket_events WHERE kind <> 'mail_sent' ORDER BY id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(history, ["opened", "link_missing", "linked"]);
    app.finish().await;
}

#[tokio::test]
async fn what_a_crash_left_waiting_is_linked_by_the_sweep() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    // As after a crash between the commit of the spans and the look for tickets.
    store_without_look(&app, &failing_trace(&trace_id)).await;
    let waiting = app.ticket(&id_of(&ticket)).await;
    assert_eq!(waiting["trace"]["state"], "waiting");
    app.state.resolver.sweep().await.unwrap();
    let linked = app.ticket(&id_of(&ticket)).await;
    assert_eq!(linked["trace"]["state"], "linked");
    assert!(app.mail().await.text.contains("model overloaded"));
    app.finish().await;
}

async fn store_without_look(app: &TestApp, data: &TracesData) {
    let split = tracedesk::ingest::split::split(
        &prost::Message::encode_to_vec(data),
        &FailureRules::default(),
    )
    .unwrap();
    let conn = &mut *app.pool.acquire().await.unwrap();
    let now = app.state.clock.now();
    tracedesk::traces::store::copy_parts(conn, &split.parts, now)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_first_mail_waits_for_the_trace_and_goes_at_once_when_it_comes() {
    let app = TestApp::builder()
        .setting("TRACEDESK_LINK_GRACE_SECS", "3600")
        .start()
        .await;
    let trace_id = new_trace_id();
    app.open_ticket(&app.report_of(&trace_id)).await;
    // One to staff, one to the reporter.
    assert_eq!(app.mails_waiting().await, 2);
    assert!(app.mails().is_empty());
    app.send_spans(&failing_trace(&trace_id)).await;
    let mail = app.mail().await;
    assert!(mail.text.contains("model overloaded"), "{}", mail.text);
    assert!(mail.subject.contains("llm-gateway") || mail.subject.contains("Provider"));
    app.finish().await;
}

#[tokio::test]
async fn the_first_mail_goes_without_the_trace_when_the_grace_is_over() {
    let app = TestApp::builder()
        .setting("TRACEDESK_LINK_GRACE_SECS", "1")
        .start()
        .await;
    let trace_id = new_trace_id();
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    let mail = app.mail().await;
    assert!(mail.subject.contains(ticket["reference"].as_str().unwrap()));
    assert!(mail.text.contains(&trace_id), "{}", mail.text);
    let ticket = app.ticket(&id_of(&ticket)).await;
    assert_eq!(ticket["trace"]["state"], "waiting");
    app.finish().await;
}

#[tokio::test]
async fn all_tickets_of_a_trace_are_linked() {
    let app = TestApp::start().await;
    let trace_id = new_trace_id();
    for _ in 0..3 {
        app.open_ticket(&app.report_of(&trace_id)).await;
    }
    app.send_spans(&failing_trace(&trace_id)).await;
    let all_linked = async || states(&app).await == BTreeMap::from([("linked".to_owned(), 3)]);
    eventually("all three are linked", all_linked).await;
    app.finish().await;
}

#[tokio::test]
async fn staff_choose_another_trace() {
    let app = TestApp::start().await;
    let (wrong, right) = (new_trace_id(), new_trace_id());
    app.send_spans(&failing_trace(&wrong)).await;
    let timeout = failed(span(&right, 1, 0, "GET /"), "Timeout", "timed out");
    app.send_spans(&export("api", vec![timeout])).await;
    let ticket = app.open_ticket(&app.report_of(&wrong)).await;
    let desk = app.sign_in("ada@example.com").await;
    let path = format!("/desk/tickets/{}/link", id_of(&ticket));
    assert_eq!(desk.submit(&path, &[("trace", &right)]).await.status(), 303);
    let ticket = app.ticket(&id_of(&ticket)).await;
    assert_eq!(ticket["trace"]["id"], right.as_str());
    assert_eq!(ticket["trace"]["failure"]["class"], "timeout");
    app.finish().await;
}
