//! The limits: what Postgres takes and gives when there is nothing around it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt as _;

use crate::client::count;
use crate::patch::Template;
use crate::process::Postgres;
use crate::spans::{SPANS_PER_EXPORT, TRACES_PER_EXPORT};

/// Exports a COPY: all that eight clients have under way.
const EXPORTS_PER_COPY: usize = 8;
/// Clients of pgbench, as of the servers beside it.
pub const CLIENTS: usize = 16;

/// Makes the table of one row a span, empty.
pub fn prepare(postgres: &Postgres) -> anyhow::Result<()> {
    postgres.execute(include_str!("../sql/limit.sql"))
}

/// Spans a second of binary COPY on `connections` connections, each from buffers encoded beforehand.
pub fn copy(
    postgres: &Postgres,
    rows: &[Template],
    connections: usize,
    time: Duration,
    first: &mut u64,
) -> anyhow::Result<f64> {
    let tasks: Vec<_> = (0..connections)
        .map(|number| {
            // Each connection counts in a range of its own.
            let from = *first + number as u64 * (1 << 32);
            // Exports of its own, as each client of ours has.
            let own = rows.iter().skip(number * EXPORTS_PER_COPY);
            postgres.runtime.spawn(copy_on_one(
                postgres.pool.clone(),
                own.take(EXPORTS_PER_COPY).cloned().collect(),
                time,
                from,
            ))
        })
        .collect();
    *first += connections as u64 * (1 << 32);
    let began = Instant::now();
    let mut spans = 0;
    for task in tasks {
        spans += postgres.runtime.block_on(task)??;
    }
    Ok(count(spans) / began.elapsed().as_secs_f64())
}

async fn copy_on_one(
    pool: PgPool,
    mut rows: Vec<Template>,
    time: Duration,
    mut next: u64,
) -> anyhow::Result<u64> {
    let until = Instant::now() + time;
    let (mut spans, mut turn) = (0, 0);
    while Instant::now() < until {
        let mut stream = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for _ in 0..EXPORTS_PER_COPY {
            let index = turn % rows.len();
            let template = &mut rows[index];
            template.renew(next);
            stream.extend_from_slice(&template.bytes);
            next += TRACES_PER_EXPORT as u64;
            turn += 1;
        }
        stream.extend_from_slice(&(-1_i16).to_be_bytes());
        let mut copy = pool
            .copy_in_raw("COPY limit_spans FROM STDIN (FORMAT binary)")
            .await?;
        copy.send(stream).await?;
        copy.finish().await?;
        spans += (EXPORTS_PER_COPY * SPANS_PER_EXPORT) as u64;
    }
    Ok(spans)
}

/// Transactions a second of a script by `pgbench`, prepared, with [`CLIENTS`] clients.
pub fn pgbench(
    postgres: &Postgres,
    script: &str,
    last: u64,
    time: Duration,
    dir: &Path,
) -> anyhow::Result<f64> {
    let file = dir.join("script.pgbench");
    std::fs::write(&file, script)?;
    let output = Command::new(postgres.program("pgbench")?)
        .args(["-n", "-M", "prepared", "-j", "2", "-U", "tracedesk"])
        .args(["-c", &CLIENTS.to_string()])
        .args(["-T", &time.as_secs().max(1).to_string()])
        .args(["-D", &format!("last={last}")])
        .arg("-h")
        .arg(&postgres.socket_dir)
        .arg("-f")
        .arg(&file)
        .arg("tracedesk")
        .output()
        .context("pgbench, which comes with Postgres's server, can't be run")?;
    ensure!(
        output.status.success(),
        "pgbench: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split(' ').next());
    Ok(number.context("pgbench told no tps")?.parse()?)
}
