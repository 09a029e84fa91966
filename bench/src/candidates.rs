//! Reports without a trace ID: how often the right trace is found, and what looking for it costs.

use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, Duration, Utc};
use sqlx::{Connection as _, PgConnection};
use tracedesk::clock::Clock;
use tracedesk::ingest::writer::store_directly;
use tracedesk::links::candidates::{MAX_CANDIDATES, clear_winner, rank};
use tracedesk::links::unlinked::parts_near;
use uuid::Uuid;

use crate::client::count;
use crate::labelled::{Labelled, Made, make};
use crate::measure::Scale;
use crate::plans;
use crate::process::Postgres;
use crate::table::{Row, Series};

/// Spans are stored this long after they ran.
const ARRIVE_AFTER: Duration = Duration::seconds(5);
/// Traces in a COPY.
const TRACES_A_BATCH: usize = 200;

/// What became of the reports.
#[derive(Default)]
struct Found {
    first: u64,
    first_of_attempt: u64,
    in_five: u64,
    attempt_in_five: u64,
    suggested_right: u64,
    suggested_attempt: u64,
    suggested_wrong: u64,
    ms: Series,
}

/// Fills the database, weighs every report, adds the rows, and returns the query's plan.
pub fn measure(postgres: &Postgres, scale: Scale, table: &mut Vec<Row>) -> anyhow::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/traces");
    let (hours, an_hour, reports) = scale.labelled;
    let (made, labelled) = make(&folder, Clock::system().now(), hours, an_hour, reports)?;
    postgres.execute("TRUNCATE trace_parts")?;
    postgres.runtime.block_on(store(postgres, &made))?;
    postgres.execute("VACUUM ANALYZE trace_parts")?;
    let found = postgres.runtime.block_on(weigh(postgres, &labelled))?;
    add_rows(&found, made.len(), &labelled, table);
    postgres.runtime.block_on(plan(postgres, &labelled))
}

async fn store(postgres: &Postgres, made: &[Made]) -> anyhow::Result<()> {
    let mut conn = postgres.pool.acquire().await?;
    for batch in made.chunks(TRACES_A_BATCH) {
        let arrived: DateTime<Utc> = batch.last().map_or(DateTime::UNIX_EPOCH, |last| last.at);
        let parts: Vec<_> = batch.iter().flat_map(|made| made.parts.clone()).collect();
        store_directly(&mut conn, &Clock::fixed(arrived + ARRIVE_AFTER), &parts).await?;
    }
    Ok(())
}

async fn weigh(postgres: &Postgres, labelled: &[Labelled]) -> anyhow::Result<Found> {
    let mut conn = postgres.pool.acquire().await?;
    let mut found = Found::default();
    for report in labelled {
        let began = Instant::now();
        let parts = parts_near(&mut conn, &report.wanted).await?;
        found.ms.add(began.elapsed().as_secs_f64() * 1_000.0);
        let ranked = rank(&report.wanted, parts);
        let ids: Vec<_> = ranked.iter().map(|one| one.summary.trace_id).collect();
        let is_attempt = |id: &Uuid| report.same_attempt.contains(id);
        found.first += u64::from(ids.first() == Some(&report.trace_id));
        found.first_of_attempt += u64::from(ids.first().is_some_and(is_attempt));
        found.in_five += u64::from(ids.contains(&report.trace_id));
        found.attempt_in_five += u64::from(ids.iter().any(is_attempt));
        match clear_winner(&ranked).map(|winner| winner.summary.trace_id) {
            Some(id) if id == report.trace_id => found.suggested_right += 1,
            Some(id) if is_attempt(&id) => found.suggested_attempt += 1,
            Some(_) => found.suggested_wrong += 1,
            None => {}
        }
        if std::env::var_os("BENCH_MISSES").is_some() && !ids.first().is_some_and(is_attempt) {
            eprintln!(
                "{:?}\n  truth {} {:#?}",
                report.wanted,
                report.trace_id,
                ranked.first()
            );
        }
    }
    Ok(found)
}

fn add_rows(found: &Found, traces: usize, labelled: &[Labelled], table: &mut Vec<Row>) {
    let reports = labelled.len() as u64;
    let share = |part: u64| format!("{:.1} %", 100.0 * count(part) / count(reports.max(1)));
    let mut told = |what: &str, ours: String, beside: String| {
        table.push(Row::told(what, ours, beside, String::new()));
    };
    told(
        "candidates, reports",
        format!("{reports} without an ID"),
        format!("{traces} traces"),
    );
    told(
        "candidates, the right trace first (or another try of the same person at the same thing)",
        format!("{} ({})", share(found.first), share(found.first_of_attempt)),
        String::new(),
    );
    told(
        &format!("candidates, the right trace among the first {MAX_CANDIDATES} (or another try)"),
        format!(
            "{} ({})",
            share(found.in_five),
            share(found.attempt_in_five)
        ),
        String::new(),
    );
    let all = found.suggested_right + found.suggested_attempt + found.suggested_wrong;
    told(
        "candidates, linked as suggested: right, another try, wrong",
        format!(
            "{}, {}, {}",
            found.suggested_right, found.suggested_attempt, found.suggested_wrong
        ),
        format!("of {all}, {} of the reports", share(all)),
    );
    told(
        "candidates, the query, ms: median, 99 of 100",
        format!("{:.1}, {:.1}", found.ms.median(), found.ms.quantile(0.99)),
        String::new(),
    );
}

/// The plan of the query for one of the reports, as Postgres ran it.
async fn plan(postgres: &Postgres, labelled: &[Labelled]) -> anyhow::Result<String> {
    let mut conn = PgConnection::connect(&postgres.url).await?;
    plans::explain_all(&mut conn).await?;
    let Some(report) = labelled.first() else {
        return Ok(String::new());
    };
    for _ in 0..plans::TURNS {
        parts_near(&mut conn, &report.wanted).await?;
    }
    Ok(plans::told())
}
