//! Lookup: our endpoint beside a bare handler and pgbench, over partitions of fourteen days.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Days;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tracedesk::clock::Clock;
use tracedesk::failure_rule::FailureRules;
use tracedesk::ingest::split::split;
use tracedesk::traces::part::TracePart;
use tracedesk::traces::store;

use crate::client::{Connection, Outcome, count, expect, load};
use crate::limit::{self, CLIENTS};
use crate::measure::Setup;
use crate::patch::{Template, bodies, trace_id};
use crate::process::Postgres;
use crate::spans::{self, SPANS_PER_TRACE, TRACES_PER_EXPORT};
use crate::table::{Rates, Row, Series};

/// Days with spans in them: the default retention.
const DAYS: u64 = 14;
/// Traces a COPY while filling.
const TRACES_PER_BATCH: usize = 10 * TRACES_PER_EXPORT;
/// Different exports.
const EXPORTS: u64 = 32;
/// Numbers of traces that are never stored begin here.
const UNKNOWN: u64 = 1 << 60;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Json,
    Protobuf,
    Bare,
    /// A bare handler that gives the same answers as ours.
    DecodedJson,
    DecodedProtobuf,
    Miss,
    BareMiss,
}

/// Fills to both sizes, measures at each, and adds their rows.
pub fn measure(setup: &mut Setup, table: &mut Vec<Row>) -> anyhow::Result<()> {
    setup.begin_again("TRUNCATE trace_parts")?;
    let drafts: Vec<_> = (0..EXPORTS).map(spans::export).collect();
    let mut bodies = bodies(&drafts)?;
    let (small, large) = setup.scale.stored_spans;
    let first = at_size(setup, &mut bodies, small, table)?;
    let second = at_size(setup, &mut bodies, large, table)?;
    let names = ["as JSON", "as protobuf", "of an unknown ID"];
    for (name, (small, large)) in names.iter().zip(first.into_iter().zip(second)) {
        table.push(Row::judged(
            format!("lookup {name}, large against small"),
            format!("{large:.0}/s"),
            format!("{small:.0}/s"),
            large / small,
            "flat (>= 0.9)",
            |ratio| ratio >= 0.9,
        ));
    }
    Ok(())
}

/// Our rates at this size: JSON, protobuf, miss.
fn at_size(
    setup: &mut Setup,
    bodies: &mut [Template],
    spans: u64,
    table: &mut Vec<Row>,
) -> anyhow::Result<[f64; 3]> {
    let traces = spans / SPANS_PER_TRACE as u64;
    fill(&setup.postgres, bodies, setup.stored_traces, traces)?;
    setup.stored_traces = traces;
    setup.next_trace.store(traces, Ordering::Relaxed);
    setup.postgres.execute("VACUUM ANALYZE trace_parts")?;
    setup.postgres.settle()?;
    let asks = [
        Ask::Json,
        Ask::Bare,
        Ask::DecodedJson,
        Ask::Protobuf,
        Ask::DecodedProtobuf,
        Ask::Miss,
        Ask::BareMiss,
    ];
    let mut rates = asks.map(|_| Rates::default());
    let mut pgbench = Series::default();
    for ask in asks {
        ask_for(setup, ask, setup.scale.lookup / 2)?; // warm up
    }
    for round in 0..setup.scale.rounds {
        for (ask, rates) in asks.into_iter().zip(&mut rates) {
            rates.add(&ask_for(setup, ask, setup.scale.lookup)?);
        }
        let script = include_str!("../sql/lookup.pgbench");
        let last = traces - 1;
        pgbench.add(limit::pgbench(
            &setup.postgres,
            script,
            last,
            setup.scale.lookup,
            &setup.dir,
        )?);
        eprintln!(
            "lookup at {spans}, round {}: {}",
            round + 1,
            rates[0].text()
        );
    }
    add_rows(spans, &rates, &pgbench, table);
    let [json, _, _, protobuf, _, miss, _] = rates;
    Ok([json, protobuf, miss].map(|rates| rates.per_second.median()))
}

fn add_rows(spans: u64, rates: &[Rates; 7], pgbench: &Series, table: &mut Vec<Row>) {
    let [
        json,
        bare,
        bare_json,
        protobuf,
        bare_protobuf,
        miss,
        bare_miss,
    ] = rates;
    let at = format!("{} million spans", count(spans) / 1e6);
    let beside = format!("bare {}; pgbench {}", bare.text(), pgbench.text());
    for (name, ours, limit, beside) in [
        ("as JSON", json, bare, beside.clone()),
        ("as protobuf", protobuf, bare, beside),
        (
            "of an unknown ID",
            miss,
            bare_miss,
            format!("bare {}", bare_miss.text()),
        ),
    ] {
        table.push(Row::judged(
            format!("lookup {name}, requests/s at {at}"),
            ours.text(),
            beside,
            ours.per_second.ratio(&limit.per_second),
            ">= 0.80",
            |ratio| ratio >= 0.8,
        ));
    }
    for (name, ours, limit) in [
        ("as JSON", json, bare_json),
        ("as protobuf", protobuf, bare_protobuf),
    ] {
        table.push(Row::told(
            format!("the same {name}, beside a bare handler with the same answer"),
            ours.text(),
            limit.text(),
            format!("{:.2}", ours.per_second.ratio(&limit.per_second)),
        ));
    }
}

fn ask_for(setup: &Setup, ask: Ask, time: Duration) -> anyhow::Result<Outcome> {
    let stored = setup.stored_traces;
    let (server, wanted) = match ask {
        Ask::Json | Ask::Protobuf => (&setup.served, 200),
        Ask::Miss => (&setup.served, 404),
        Ask::Bare | Ask::DecodedJson | Ask::DecodedProtobuf => (&setup.bare, 200),
        Ask::BareMiss => (&setup.bare, 404),
    };
    let (path, accept) = match ask {
        Ask::Json | Ask::Miss => ("/api/v1/traces", "application/json"),
        Ask::Protobuf => ("/api/v1/traces", "application/x-protobuf"),
        Ask::DecodedJson => ("/decoded", "application/json"),
        Ask::DecodedProtobuf => ("/decoded", "application/x-protobuf"),
        Ask::Bare | Ask::BareMiss => ("/traces", "*/*"),
    };
    let is_miss = matches!(ask, Ask::Miss | Ask::BareMiss);
    let worker = |client: usize| {
        let mut rng = SmallRng::seed_from_u64(client as u64);
        let key = setup.key.clone();
        move |connection: &mut Connection| {
            let number = rng.random_range(0..stored) + if is_miss { UNKNOWN } else { 0 };
            let id = trace_id(number).simple();
            let head = format!(
                "GET {path}/{id} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\naccept: {accept}\r\n\r\n"
            );
            expect(connection, head.as_bytes(), b"", wanted)
        }
    };
    setup.weigh(server, || load(server.address, CLIENTS, time, worker))
}

/// Stores the traces from number `from` to `to`, spread over the days.
pub fn fill(
    postgres: &Postgres,
    bodies: &mut [Template],
    from: u64,
    to: u64,
) -> anyhow::Result<()> {
    eprintln!("storing traces {from} to {to}");
    postgres.runtime.block_on(async {
        let mut conn = postgres.pool.acquire().await?;
        for (batch, first) in (0_u64..).zip((from..to).step_by(TRACES_PER_BATCH)) {
            let day = Days::new(batch % DAYS);
            let parts = parts(bodies, first, day)?;
            let received_at = Clock::system().now() - day;
            if batch < DAYS {
                store::ensure_partitions(&mut conn, received_at.date_naive()).await?;
            }
            store::copy_parts(&mut conn, &parts, received_at).await?;
        }
        Ok(())
    })
}

/// The parts of a batch of traces that arrived that many days ago.
fn parts(bodies: &mut [Template], first: u64, ago: Days) -> anyhow::Result<Vec<TracePart>> {
    let mut parts = Vec::with_capacity(TRACES_PER_BATCH);
    for next in (first..)
        .step_by(TRACES_PER_EXPORT)
        .take(TRACES_PER_BATCH / TRACES_PER_EXPORT)
    {
        let turn = usize::try_from(next)? / TRACES_PER_EXPORT % bodies.len();
        bodies[turn].renew(next);
        parts.extend(split(&bodies[turn].bytes, &FailureRules::default())?.parts);
    }
    for part in &mut parts {
        part.started_at = part.started_at - ago;
        part.ended_at = part.ended_at - ago;
    }
    Ok(parts)
}
