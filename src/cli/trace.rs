//! `tracedesk trace ID`: a trace in the terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use sqlx::PgPool;
use tokio::sync::Notify;

use super::counted;
use super::database::{COMMAND_CONNECTIONS, Database};
use crate::clock::Clock;
use crate::config::Config;
use crate::links::resolve::Resolver;
use crate::links::trace_ref;
use crate::traces::assemble::RawTrace;
use crate::traces::duration_text::format_duration;
use crate::traces::failure::Failure;
use crate::traces::trace::Trace;
use crate::traces::waterfall::{self, Waterfall};
use crate::traces::{json, store};

/// Which trace, and how.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The trace ID in any shape: hex, UUID, traceparent, a URL of a tracing UI, ...
    id: String,
    /// Print OTLP JSON
    #[arg(long)]
    json: bool,
}

/// Columns of the bar.
const BAR_COLUMNS: u64 = 30;

/// Runs the command.
///
/// # Errors
/// What is wrong.
pub async fn run(config: Config, args: TraceArgs) -> anyhow::Result<()> {
    let rules = Arc::clone(&config.failure_rules);
    let database = Database::open(&config, COMMAND_CONNECTIONS).await?;
    let found = find(&database.pool, &args.id).await;
    database.close().await?;
    let raw = found?;
    let output = if args.json {
        let mut bytes = json::write(&raw)?;
        bytes.push(b'\n');
        bytes
    } else {
        draw(
            &raw.assemble()?,
            raw.failure(&rules)?.as_ref(),
            std::io::stdout().is_terminal(),
        )
        .into_bytes()
    };
    // A reader that has seen enough (head, less) is no failure.
    match std::io::stdout().write_all(&output) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the trace could not be printed"),
    }
}

async fn find(pool: &PgPool, typed: &str) -> anyhow::Result<RawTrace> {
    let mut conn = pool.acquire().await?;
    let resolver = Resolver::new(pool.clone(), Clock::system(), Arc::new(Notify::new()));
    let read = trace_ref::parse(typed)?;
    for &trace_id in &read.candidates {
        if let Some(stored) = store::find(&mut conn, trace_id).await? {
            return Ok(RawTrace::unpack(trace_id, &stored)?);
        }
    }
    if let Some(span_id) = read.span_id
        && let Some(trace_id) = resolver.trace_of_span(span_id).await?
        && let Some(stored) = store::find(&mut conn, trace_id).await?
    {
        return Ok(RawTrace::unpack(trace_id, &stored)?);
    }
    let id = read
        .candidates
        .first()
        .map_or_else(|| typed.to_owned(), ToString::to_string);
    bail!("nothing of the trace {id} is stored: not yet, or not any more");
}

fn draw(trace: &Trace, failure: Option<&Failure>, with_colour: bool) -> String {
    let waterfall = Waterfall::build(trace, failure.map(|failure| failure.span_id));
    let red = |text: String| {
        if with_colour {
            format!("\x1b[31m{text}\x1b[0m")
        } else {
            text
        }
    };
    let mut out = format!(
        "trace {}  {}, {}, {}\n",
        trace.id,
        counted(waterfall.rows.len(), "span"),
        counted(waterfall.error_count, "error"),
        format_duration(waterfall.duration_ns),
    );
    if let Some(failure) = failure {
        let after = format_duration(failure.started_ns.saturating_sub(waterfall.started_ns));
        let line = format!(
            "{}: {} in {}, {after} after the start: {}",
            failure.class.as_str(),
            failure.span_name,
            failure.service,
            failure.message
        );
        out.push_str(&red(line));
        out.push('\n');
    }
    for (index, row) in waterfall.rows.iter().enumerate() {
        let Some(span) = trace.spans.get(row.span) else {
            continue;
        };
        let depth = usize::try_from(row.depth.min(30)).unwrap_or(0);
        let service = waterfall
            .services
            .get(row.service)
            .map_or("", |service| service.name.as_str());
        let label = format!("{}{} ({service})", "  ".repeat(depth), span.name);
        let mark = if row.has_error { "!" } else { " " };
        let bar = bar(row.offset_ns, row.duration_ns, waterfall.duration_ns);
        let message = row
            .has_error
            .then(|| waterfall::message(span))
            .flatten()
            .unwrap_or_default();
        let line = format!(
            "{mark} {bar} {:>9}  {label}  {message}",
            format_duration(row.duration_ns)
        );
        let line = printable(line.trim_end());
        out.push_str(&if waterfall.failing == Some(index) {
            red(line)
        } else {
            line
        });
        out.push('\n');
    }
    out
}

/// A span's name may hold what would move the terminal's cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn bar(offset: u64, duration: u64, total: u64) -> String {
    let column = |ns: u64| {
        let scaled = u128::from(ns) * u128::from(BAR_COLUMNS) / u128::from(total.max(1));
        usize::try_from(scaled.min(u128::from(BAR_COLUMNS))).unwrap_or(0)
    };
    let width = column(u64::MAX).min(usize::try_from(BAR_COLUMNS).unwrap_or(0));
    let start = column(offset).min(width.saturating_sub(1));
    let length = column(duration).clamp(1, width - start);
    format!(
        "{}{}{}",
        "·".repeat(start),
        "█".repeat(length),
        "·".repeat(width - start - length)
    )
}
