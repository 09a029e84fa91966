//! Ingest and space: our endpoint beside COPY of one row a span.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::{Connection, count, expect, load};
use crate::limit;
use crate::measure::Setup;
use crate::patch::{Template, bodies, rows};
use crate::spans::{self, SPANS_PER_EXPORT, TRACES_PER_EXPORT};
use crate::table::{Row, Series};

/// Clients, each sending its next export when the last was acknowledged.
const CLIENTS: usize = 8;
/// Different exports: 640 traces that no compressor sees twice alike.
const EXPORTS: u64 = 32;

/// Measures both, and adds their rows.
pub fn measure(setup: &mut Setup, table: &mut Vec<Row>) -> anyhow::Result<()> {
    let drafts: Vec<_> = (0..EXPORTS).map(spans::export).collect();
    let (bodies, rows) = (bodies(&drafts)?, rows(&drafts));
    let size: usize = bodies.iter().map(|body| body.bytes.len()).sum();
    let json: usize = drafts
        .iter()
        .flatten()
        .map(|draft| spans::to_json(&draft.span).len())
        .sum();
    eprintln!(
        "a span is {} bytes of protobuf, its attributes {} bytes of JSON",
        size / bodies.len() / SPANS_PER_EXPORT,
        json / bodies.len() / SPANS_PER_EXPORT
    );
    limit::prepare(&setup.postgres)?;
    let (mut ours, mut one, mut two) = (Series::default(), Series::default(), Series::default());
    let time = setup.scale.ingest;
    send(setup, &bodies, time / 4)?; // warm up
    setup.begin_again("TRUNCATE trace_parts")?;
    let mut numbers = 1 << 40;
    for round in 0..setup.scale.rounds {
        ours.add(send(setup, &bodies, time)?);
        setup.postgres.settle()?;
        one.add(limit::copy(&setup.postgres, &rows, 1, time, &mut numbers)?);
        setup.postgres.settle()?;
        two.add(limit::copy(&setup.postgres, &rows, 2, time, &mut numbers)?);
        setup.postgres.settle()?;
        eprintln!(
            "ingest, round {}: {} / {} / {}",
            round + 1,
            ours.text(),
            one.text(),
            two.text()
        );
    }
    let better = if one.median() > two.median() {
        &one
    } else {
        &two
    };
    table.push(Row::judged(
        "ingest, spans/s, 8 clients",
        ours.text(),
        format!(
            "COPY on one connection {}, on two {}",
            one.text(),
            two.text()
        ),
        ours.ratio(better),
        ">= 2",
        |ratio| ratio >= 2.0,
    ));
    space(setup, table)
}

/// Spans a second through the endpoint.
fn send(setup: &Setup, bodies: &[Template], time: Duration) -> anyhow::Result<f64> {
    let next = &setup.next_trace;
    let sent = AtomicU64::new(0);
    let sent = &sent;
    let worker = |client: usize| {
        // Each sends its own share of the exports, small enough for the processor's cache: the client's work is taken
        // from the server's.
        let share = bodies.len() / CLIENTS;
        let mut own = bodies[client * share..][..share].to_vec();
        let heads: Vec<Vec<u8>> = own
            .iter()
            .map(|body| setup.export_head(body.bytes.len()))
            .collect();
        let mut turn = 0;
        move |connection: &mut Connection| {
            let index = turn % own.len();
            turn += 1;
            let first = next.fetch_add(TRACES_PER_EXPORT as u64, Ordering::Relaxed);
            own[index].renew(first);
            expect(connection, &heads[index], &own[index].bytes, 200)?;
            sent.fetch_add(SPANS_PER_EXPORT as u64, Ordering::Relaxed);
            Ok(())
        }
    };
    let served = &setup.served;
    let outcome = setup.weigh(served, || load(served.address, CLIENTS, time, worker))?;
    eprintln!(
        "a thousand spans took {:.0} us of tracedesk and {:.0} us of Postgres",
        outcome.server_us, outcome.postgres_us
    );
    Ok(count(sent.load(Ordering::Relaxed)) / outcome.elapsed.as_secs_f64())
}

fn space(setup: &Setup, table: &mut Vec<Row>) -> anyhow::Result<()> {
    let postgres = &setup.postgres;
    postgres.execute("VACUUM ANALYZE limit_spans; VACUUM ANALYZE trace_parts")?;
    let bytes = |sql, counted| -> anyhow::Result<f64> {
        let (bytes, spans) = (postgres.number(sql)?, postgres.number(counted)?);
        Ok(count(bytes.unsigned_abs()) / count(spans.unsigned_abs()))
    };
    let ours = bytes(
        "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('trace_parts')",
        "SELECT sum(span_count)::bigint FROM trace_parts",
    )?;
    let limit = bytes(
        "SELECT pg_total_relation_size('limit_spans')",
        "SELECT count(*) FROM limit_spans",
    )?;
    table.push(Row::judged(
        "space, bytes a span with indexes",
        format!("{ours:.0}"),
        format!("one row a span {limit:.0}"),
        ours / limit,
        "<= 0.20",
        |ratio| ratio <= 0.2,
    ));
    postgres.execute("DROP TABLE limit_spans")
}
