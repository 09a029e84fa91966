//! `tracedesk demo`: seeds the database with sample traces and the reports about them, so that a desk can be seen at
//! work. What is played stands in `demo/tuesday.toml`, the traces in `demo/traces`.
//!
//! Traces keep their IDs and get new times; reports go through the same door as everyone's. What is there already is
//! left alone, so that the command can be repeated.

use std::collections::HashSet;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Duration, Utc};
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message as _;
use rust_embed::RustEmbed;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::database::{COMMAND_CONNECTIONS, Database};
use crate::access::api_key::{ApiKey, KeyKind, Scope};
use crate::access::session::Role;
use crate::access::store::Rights;
use crate::access::{password, store as access};
use crate::clock::Clock;
use crate::config::Config;
use crate::ingest::json;
use crate::ingest::split::split;
use crate::ingest::writer::{self, store_directly};
use crate::intake::open::{Origin, ReportSource, look_for_trace, open_ticket};
use crate::intake::report::{RawReport, Report};
use crate::links::conversation;
use crate::links::resolve::WAIT_FOR_TRACE;
use crate::links::tickets as listed;
use crate::state::AppState;
use crate::tickets::change::Act;
use crate::tickets::conversation::Said;
use crate::tickets::status::TicketStatus;
use crate::traces::ids::TraceId;
use crate::traces::store as traces;

/// Who answers in the demo. Nobody knows the password, so nobody can sign in as her.
const DEMO_STAFF: &str = "mira@example.com";
/// Whose API key sends the demo's API report.
const DEMO_ACCOUNT: &str = "Globex";
/// Tickets looked through at a time for those that are there already.
const PAGE: i64 = 1_000;
/// Characters of an action that tell reports of one page apart; lists show more than these.
const TELLING_CHARS: usize = 40;

#[derive(RustEmbed)]
#[folder = "demo/"]
struct Files;

/// What is played, as `demo/tuesday.toml` says it.
#[derive(Debug, Deserialize)]
struct Play {
    trace: Vec<Scene>,
    report: Vec<DemoReport>,
}

/// A trace that nobody reports.
#[derive(Debug, Deserialize)]
struct Scene {
    name: String,
    minutes_ago: i64,
}

#[derive(Debug, Deserialize)]
struct DemoReport {
    trace: Option<String>,
    minutes_ago: i64,
    reported_after: i64,
    #[serde(default)]
    source: DemoSource,
    typed: Option<String>,
    kind: String,
    action: String,
    page_url: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    then: Vec<Then>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DemoSource {
    #[default]
    Form,
    Api,
}

/// What followed, in minutes after the report.
#[derive(Debug, Deserialize)]
struct Then {
    after: i64,
    staff: Option<String>,
    reporter: Option<String>,
    status: Option<TicketStatus>,
}

/// Runs the command.
///
/// # Errors
/// What is wrong.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub async fn run(config: Config) -> anyhow::Result<()> {
    let play = read_play()?;
    let database = Database::open(&config, COMMAND_CONNECTIONS).await?;
    let played = Stage::new(&database, config).play(&play).await;
    database.close().await?;
    let (new_traces, new_tickets) = played?;
    let all_traces = play.trace.len() + play.report.iter().filter(|r| r.trace.is_some()).count();
    println!(
        "demo: added {new_traces} traces and {new_tickets} tickets; {} and {} were there already",
        all_traces - new_traces,
        play.report.len() - new_tickets
    );
    Ok(())
}

fn read_play() -> anyhow::Result<Play> {
    let file = Files::get("tuesday.toml").context("demo/tuesday.toml is not in the program")?;
    let text = std::str::from_utf8(&file.data)?;
    toml::from_str(text).context("demo/tuesday.toml can't be read")
}

/// Where the demo is played.
struct Stage {
    state: AppState,
    /// Moved to the time of each thing that happens; the state's own.
    clock: Clock,
    now: DateTime<Utc>,
}

impl Stage {
    fn new(database: &Database, config: Config) -> Self {
        let now = Clock::system().now();
        let clock = Clock::fixed(now);
        // Its other side is never run: the demo stores without the queue.
        let (queue, _writers) = writer::queue(writer::QUEUE_BYTES);
        let state = AppState::new(database.pool.clone(), config, clock.clone(), queue);
        Self { state, clock, now }
    }

    /// Returns how many traces and tickets are new.
    async fn play(&self, play: &Play) -> anyhow::Result<(usize, usize)> {
        let mut new_traces = 0;
        for scene in &play.trace {
            let (_, is_new) = self.store_trace(&scene.name, scene.minutes_ago).await?;
            new_traces += usize::from(is_new);
        }
        let present = self.present_tickets().await?;
        let mut new_tickets = 0;
        for report in &play.report {
            let mut trace_id = None;
            if let Some(name) = &report.trace {
                let (id, is_new) = self.store_trace(name, report.minutes_ago).await?;
                new_traces += usize::from(is_new);
                trace_id = Some(id);
            }
            let report_at = self.ago(report.minutes_ago) + Duration::minutes(report.reported_after);
            let parsed = parse(report, trace_id, self.ago(report.minutes_ago), report_at)?;
            if !present.contains(&identity(parsed.page_url().as_str(), parsed.action())) {
                self.open(report, &parsed, report_at).await?;
                new_tickets += 1;
            }
        }
        self.clock.set(self.now);
        Ok((new_traces, new_tickets))
    }

    fn ago(&self, minutes: i64) -> DateTime<Utc> {
        self.now - Duration::minutes(minutes)
    }

    /// Stores a trace so that it begins `minutes_ago`, unless it is stored.
    async fn store_trace(&self, name: &str, minutes_ago: i64) -> anyhow::Result<(TraceId, bool)> {
        let request = moved_trace(name, self.ago(minutes_ago))?;
        let parts = split(&request, &self.state.config.failure_rules)?.parts;
        let [part] = parts.as_slice() else {
            bail!(
                "demo/traces/{name}.json has not one trace but {}",
                parts.len()
            );
        };
        let id = part.trace_id;
        let mut conn = self.state.pool.acquire().await?;
        if !traces::stored_among(&mut conn, &[id.as_uuid()])
            .await?
            .is_empty()
        {
            return Ok((id, false));
        }
        store_directly(&mut conn, &Clock::system(), &parts).await?;
        self.state.resolver.traces_stored(&[id]).await?;
        Ok((id, true))
    }

    /// The tickets that are there, by what tells one report of the demo from another.
    async fn present_tickets(&self) -> anyhow::Result<HashSet<(String, String)>> {
        let mut conn = self.state.pool.acquire().await?;
        let (mut present, mut before) = (HashSet::new(), None);
        loop {
            let page = listed::list(&mut conn, None, before, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(present);
            };
            before = Some((last.created_at, last.id));
            present.extend(
                page.iter()
                    .map(|ticket| identity(&ticket.page_url, &ticket.action)),
            );
        }
    }

    async fn open(
        &self,
        demo: &DemoReport,
        report: &Report,
        report_at: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        self.clock.set(report_at);
        let mut conn = self.state.pool.acquire().await?;
        let (source, account_id) = match demo.source {
            DemoSource::Form => (ReportSource::Form, None),
            DemoSource::Api => (ReportSource::Api, Some(self.account(&mut conn).await?)),
        };
        let origin = Origin {
            source,
            account_id,
            draft_hash: None,
            spam_signs: Vec::new(),
            language: self.state.config.content.default_words().tag().to_owned(),
            tried: Vec::new(),
        };
        let opened = open_ticket(&self.state, report, &origin).await?;
        if report.trace().is_some() {
            look_for_trace(&self.state, report, &opened).await;
        } else {
            // Here and now, not some time later as after a request: the clock moves on.
            self.state.resolver.suggest(&mut conn, opened.id).await?;
        }
        for then in &demo.then {
            self.follow(&mut conn, opened.id, then, report_at).await?;
        }
        // The waits that are over by now ended when they were over.
        let over = report_at + WAIT_FOR_TRACE + Duration::seconds(1);
        self.clock.set(over.min(self.now));
        self.state.resolver.sweep().await?;
        Ok(())
    }

    async fn follow(
        &self,
        conn: &mut PgConnection,
        ticket_id: Uuid,
        then: &Then,
        report_at: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let at = report_at + Duration::minutes(then.after);
        let config = &self.state.config;
        if let Some(body) = &then.reporter {
            let act = Act::new(ticket_id, None, at);
            conversation::say(conn, config, &act, &Said::text(body)).await?;
        }
        if let Some(body) = &then.staff {
            let act = Act::new(ticket_id, Some(self.staff(conn).await?), at);
            conversation::say(conn, config, &act, &Said::text(body)).await?;
        }
        if let Some(status) = then.status {
            let act = Act::new(ticket_id, Some(self.staff(conn).await?), at);
            conversation::set_status(conn, config, &act, status).await?;
        }
        Ok(())
    }

    async fn staff(&self, conn: &mut PgConnection) -> anyhow::Result<Uuid> {
        if let Some(staff) = access::find_staff(conn, DEMO_STAFF).await? {
            return Ok(staff.id);
        }
        let hash = password::hash(&password::generate())?;
        access::upsert_staff(conn, DEMO_STAFF, &hash, Role::Staff, self.now).await?;
        let staff = access::find_staff(conn, DEMO_STAFF).await?;
        Ok(staff.context("the demo's member of staff was not kept")?.id)
    }

    /// An account comes with its first key; this one's secret is dropped here, so nobody can use it.
    async fn account(&self, conn: &mut PgConnection) -> anyhow::Result<Uuid> {
        let key = ApiKey::generate(KeyKind::Secret);
        let (label, scopes) = ("demo, not usable", [Scope::TicketsWrite]);
        let rights = Rights::Secret(&scopes);
        let id =
            access::insert_key(conn, DEMO_ACCOUNT, label, rights, key.hash(), self.now).await?;
        let kept = access::find_key(conn, key.hash()).await?;
        access::revoke_key(conn, id, self.now).await?;
        Ok(kept.context("the demo's key was not kept")?.account_id)
    }
}

/// What tells one report from another: its page and how its action begins.
fn identity(page_url: &str, action: &str) -> (String, String) {
    (
        page_url.to_owned(),
        action.chars().take(TELLING_CHARS).collect(),
    )
}

fn parse(
    demo: &DemoReport,
    trace_id: Option<TraceId>,
    failed_at: DateTime<Utc>,
    report_at: DateTime<Utc>,
) -> anyhow::Result<Report> {
    let id = trace_id.map_or_else(String::new, |id| id.to_string());
    let typed = demo.typed.as_deref().unwrap_or("{id}");
    let raw = RawReport {
        action: demo.action.clone(),
        page_url: demo.page_url.clone(),
        occurred_at: failed_at.to_rfc3339(),
        kind: demo.kind.clone(),
        trace_id: typed.replace("{id}", &id),
        email: demo.email.clone(),
    };
    Report::parse(&raw, report_at).map_err(|errors| {
        anyhow::anyhow!(
            "the demo's report {:?} is not valid: {errors:?}",
            demo.action
        )
    })
}

/// The trace of a file as an encoded export request, moved so that its first span starts at `start`.
fn moved_trace(name: &str, start: DateTime<Utc>) -> anyhow::Result<Vec<u8>> {
    let path = format!("traces/{name}.json");
    let file = Files::get(&path).with_context(|| format!("demo/{path} is not in the program"))?;
    let converted = json::to_protobuf(&file.data).with_context(|| format!("demo/{path}"))?;
    let mut data = TracesData::decode(converted.request.as_slice())?;
    let first = spans(&mut data).map(|span| span.start_time_unix_nano).min();
    let first = i64::try_from(first.with_context(|| format!("demo/{path} has no spans"))?)?;
    let start = start
        .timestamp_nanos_opt()
        .context("the time is out of range")?;
    let by = start - first;
    for span in spans(&mut data) {
        span.start_time_unix_nano = span.start_time_unix_nano.saturating_add_signed(by);
        span.end_time_unix_nano = span.end_time_unix_nano.saturating_add_signed(by);
        for event in &mut span.events {
            event.time_unix_nano = event.time_unix_nano.saturating_add_signed(by);
        }
    }
    Ok(data.encode_to_vec())
}

fn spans(data: &mut TracesData) -> impl Iterator<Item = &mut Span> {
    let resources = data.resource_spans.iter_mut();
    let scopes = resources.flat_map(|resource| resource.scope_spans.iter_mut());
    scopes.flat_map(|scope| scope.spans.iter_mut())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure_rule::FailureRules;

    #[test]
    fn every_report_of_the_demo_is_valid_and_every_trace_is_there() {
        let play = read_play().unwrap();
        let now = DateTime::UNIX_EPOCH + Duration::days(20_000);
        let mut identities = HashSet::new();
        for report in &play.report {
            let trace_id = report.trace.as_ref().map(|name| {
                let request = moved_trace(name, now).unwrap();
                split(&request, &FailureRules::default()).unwrap().parts[0].trace_id
            });
            let parsed = parse(report, trace_id, now, now).unwrap();
            let typed = report.typed.is_some() || trace_id.is_some();
            assert_eq!(parsed.trace().is_some(), typed, "{}", report.action);
            if let (Some(trace), Some(id)) = (parsed.trace(), trace_id) {
                assert_eq!(trace.read.candidates[0], id, "{}", report.action);
            }
            let is_new = identities.insert(identity(parsed.page_url().as_str(), parsed.action()));
            assert!(is_new, "{}", report.action);
        }
        for scene in &play.trace {
            moved_trace(&scene.name, now).unwrap();
        }
    }

    #[test]
    fn a_trace_keeps_its_durations_when_it_is_moved() {
        let start = DateTime::UNIX_EPOCH + Duration::days(20_000);
        let request = moved_trace("upload-plan-limit", start).unwrap();
        let part = &split(&request, &FailureRules::default()).unwrap().parts[0];
        assert_eq!(part.started_at, start);
        assert_eq!(part.ended_at - part.started_at, Duration::milliseconds(96));
    }
}
