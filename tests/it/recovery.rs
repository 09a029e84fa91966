//! Whether what failed works again: later traces of the same user and route.

use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use tracedesk::clock::Clock;

use crate::app::{TestApp, noon};
use crate::spans::{export, failed, new_trace_id, span, text};

/// A request of a user for a chat, at a time; one that failed or one that went through.
fn request(
    trace_id: &str,
    at: DateTime<Utc>,
    user: &str,
    chat: u32,
    is_failed: bool,
) -> TracesData {
    let mut entry = span(trace_id, 1, 0, "POST /api/chats/{id}/messages");
    entry.kind = SpanKind::Server.into();
    entry.start_time_unix_nano = u64::try_from(at.timestamp_nanos_opt().unwrap()).unwrap();
    entry.end_time_unix_nano = entry.start_time_unix_nano + 1_000_000_000;
    entry.attributes.push(text("enduser.id", user));
    entry
        .attributes
        .push(text("url.path", &format!("/api/chats/{chat}/messages")));
    if is_failed {
        entry = failed(entry, "TimeoutError", "no answer in 60 s");
    }
    export("chat-api", vec![entry])
}

struct Story {
    app: TestApp,
    clock: Clock,
    ticket: Value,
}

impl Story {
    /// A request failed at noon and was reported a minute later.
    async fn begin() -> Self {
        let clock = Clock::fixed(noon());
        let app = TestApp::builder().clock(clock.clone()).start().await;
        let trace_id = new_trace_id();
        app.send_spans(&request(&trace_id, noon(), "lena", 7, true))
            .await;
        clock.set(noon() + TimeDelta::minutes(1));
        let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
        assert_eq!(ticket["trace"]["state"], "linked");
        Self { app, clock, ticket }
    }

    async fn later(&self, minutes: i64, user: &str, chat: u32, is_failed: bool) {
        let at = noon() + TimeDelta::minutes(minutes);
        self.clock.set(at);
        let data = request(&new_trace_id(), at, user, chat, is_failed);
        self.app.send_spans(&data).await;
    }

    /// The sweep, at a minute; what the ticket knows afterwards.
    async fn sweep(&self, minute: i64) -> Option<DateTime<Utc>> {
        self.clock.set(noon() + TimeDelta::minutes(minute));
        self.app.state.resolver.sweep_recoveries().await.unwrap();
        sqlx::query_scalar("SELECT recovered_at FROM links")
            .fetch_one(&self.app.pool)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_later_success_of_the_same_user_is_told_to_both_sides() {
    let story = Story::begin().await;
    let own = url::Url::parse(story.ticket["url"].as_str().unwrap()).unwrap();
    story.later(10, "somebody else", 7, false).await;
    story.later(11, "lena", 7, true).await;
    assert_eq!(story.sweep(12).await, None);
    story.later(45, "lena", 8, false).await;
    // Its other parts may still be on the way.
    assert_eq!(story.sweep(45).await, None);
    assert_eq!(story.sweep(46).await, Some(noon() + TimeDelta::minutes(45)));
    let app = &story.app;
    let page = app
        .get(own.path())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("It seems to work again") && page.contains("12:45 UTC"),
        "{page}"
    );
    let desk = app.sign_in("ada@example.com").await;
    let path = format!("/desk/tickets/{}", story.ticket["id"].as_str().unwrap());
    let page = desk.page(&path).await;
    for words in [
        "Works again",
        "A later try of the same user worked",
        "a later trace of the same route",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(desk.page("/desk").await.contains("Works again"));
    // "Does it?" "It does."
    let closed = app
        .post(&format!("{}/closure", own.path()))
        .send()
        .await
        .unwrap();
    assert_eq!(closed.status(), 303);
    assert_eq!(
        app.ticket(story.ticket["id"].as_str().unwrap()).await["status"],
        "solved"
    );
    story.app.finish().await;
}

#[tokio::test]
async fn a_trace_whose_later_part_failed_is_no_success() {
    let story = Story::begin().await;
    let trace_id = new_trace_id();
    let at = noon() + TimeDelta::minutes(5);
    story.clock.set(at);
    story
        .app
        .send_spans(&request(&trace_id, at, "lena", 7, false))
        .await;
    let call = failed(
        span(&trace_id, 2, 1, "chat gpt-5"),
        "Overloaded",
        "overloaded",
    );
    story
        .app
        .send_spans(&export("model-gateway", vec![call]))
        .await;
    assert_eq!(story.sweep(7).await, None);
    // What came before the failure says nothing either.
    story.later(-1, "lena", 7, false).await;
    assert_eq!(story.sweep(8).await, None);
    story.app.finish().await;
}
