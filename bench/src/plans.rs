//! The plans of the hot statements, as Postgres ran them: `auto_explain` tells the plan of every statement of a
//! connection, so what is shown is what tracedesk's own functions send, and no copy of it.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use tracedesk::access::store::{self as access, Rights};
use tracedesk::clock::Clock;
use tracedesk::links::{store as links, tickets as listed};
use tracedesk::outbox::store as outbox;
use tracedesk::tickets::{status::TicketStatus, store as tickets};
use tracedesk::token;
use tracedesk::traces::ids::{SpanId, TraceId};
use tracedesk::traces::store as traces;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

use crate::lookup::fill;
use crate::patch::{bodies, trace_id};
use crate::process::Postgres;
use crate::spans::{self, SPANS_PER_TRACE};

/// Parts from real spans; five times as many are stored in all.
const PARTS: u64 = 200_000;
/// From the sixth time on a prepared statement may have its generic plan.
pub const TURNS: usize = 7;
/// Traces of a full batch of eight exports.
const BATCH_TRACES: u64 = 160;

/// What the server told last.
static TOLD: Mutex<String> = Mutex::new(String::new());

/// Runs the statement several times and writes its last plan.
macro_rules! plan {
    ($out:ident, $name:literal, $run:expr) => {{
        for _ in 0..TURNS {
            $run.await.context($name)?;
        }
        let told = told();
        $out.push_str(&format!("== {}\n{told}\n\n", $name));
    }};
}

/// Fills a database and returns the plans.
pub fn run(dir: &Path, quick: bool) -> anyhow::Result<String> {
    listen()?;
    let postgres = Postgres::start(dir)?;
    let drafts: Vec<_> = (0..32).map(spans::export).collect();
    let parts = if quick { PARTS / 100 } else { PARTS };
    fill(&postgres, &mut bodies(&drafts)?, 0, parts)?;
    postgres.execute(include_str!("../sql/multiply.sql"))?;
    postgres.execute(include_str!("../sql/tickets.sql"))?;
    let text = postgres.runtime.block_on(plans(&postgres.url))?;
    postgres.stop()?;
    let spans = parts * 5 * SPANS_PER_TRACE as u64;
    Ok(format!(
        "{} parts ({spans} spans) in 14 partitions, 100,000 tickets\n\n{text}",
        parts * 5
    ))
}

/// Has the server tell the plan of every statement of a connection.
pub async fn explain_all(conn: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::raw_sql(
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; \
         SET auto_explain.log_buffers = on; SET auto_explain.log_level = 'notice'",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Begins to keep what servers tell.
pub fn listen() -> anyhow::Result<()> {
    Ok(tracing_subscriber::registry().with(Notices).try_init()?)
}

/// What the server told last.
pub fn told() -> String {
    TOLD.lock()
        .map_or_else(|_| String::new(), |told| told.clone())
}

async fn plans(url: &str) -> anyhow::Result<String> {
    let mut conn = PgConnection::connect(url).await?;
    let key = access::insert_key(
        &mut conn,
        "bench",
        "",
        Rights::Secret(&[]),
        [7; 32],
        Clock::system().now(),
    );
    key.await?;
    explain_all(&mut conn).await?;
    let mut text = String::new();
    of_traces(&mut conn, &mut text).await?;
    of_links(&mut conn, &mut text).await?;
    of_tickets(&mut conn, &mut text).await?;
    Ok(text)
}

async fn of_traces(conn: &mut PgConnection, out: &mut String) -> anyhow::Result<()> {
    let (known, unknown) = (known(1)?, known(1 << 60)?);
    plan!(out, "find a trace", traces::find(conn, known));
    plan!(
        out,
        "find a trace that is not there",
        traces::find(conn, unknown)
    );
    let one = [unknown.as_uuid()];
    plan!(
        out,
        "is the trace of a new ticket stored",
        traces::stored_among(conn, &one)
    );
    plan!(out, "pin a trace", traces::pin(conn, known));
    let span = SpanId::from_i64(77).context("not zero")?;
    plan!(
        out,
        "find a span by its ID alone",
        traces::candidates_by_spans(conn, &[span], 48)
    );
    plan!(out, "find an API key", access::find_key(conn, [7; 32]));
    Ok(())
}

async fn of_links(conn: &mut PgConnection, out: &mut String) -> anyhow::Result<()> {
    let ids: Vec<Uuid> = (0..BATCH_TRACES).map(trace_id).collect();
    plan!(
        out,
        "which of a batch's traces have tickets",
        links::traces_with_tickets(conn, &ids)
    );
    let first = known(1_000)?;
    plan!(
        out,
        "the tickets of a trace, locked",
        links::lock_by_trace(conn, first)
    );
    plan!(
        out,
        "the sweep of waiting links",
        links::waiting_after(conn, Uuid::nil(), 200)
    );
    let now = Clock::system().now();
    plan!(out, "the end of waits", links::mark_missing(conn, now));
    Ok(())
}

async fn of_tickets(conn: &mut PgConnection, out: &mut String) -> anyhow::Result<()> {
    plan!(out, "the queue", listed::list(conn, None, None, 50));
    let open = Some(TicketStatus::Open);
    plan!(
        out,
        "the queue of open tickets",
        listed::list(conn, open, None, 50)
    );
    let middle = listed::list(conn, None, None, 50).await?;
    let last = middle.last().context("there are tickets")?;
    let before = Some((last.created_at, last.id));
    plan!(
        out,
        "the queue's second page",
        listed::list(conn, None, before, 50)
    );
    plan!(
        out,
        "find a ticket by its token",
        tickets::find_by_token(conn, token::hash("4711"))
    );
    plan!(
        out,
        "claim due mails",
        outbox::claim_due(conn, 8, Duration::from_mins(1))
    );
    Ok(())
}

fn known(number: u64) -> anyhow::Result<TraceId> {
    TraceId::from_uuid(trace_id(number)).context("MD5 is not all zeros")
}

/// Keeps what the server tells.
struct Notices;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Notices {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() == "sqlx::postgres::notice" {
            event.record(&mut Message);
        }
    }
}

struct Message;

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message"
            && let Ok(mut told) = TOLD.lock()
        {
            value.clone_into(&mut told);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}").replace("\\n", "\n"));
    }
}
