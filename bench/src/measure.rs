//! One run: everything on one server, each measure in turn with its limit, several rounds.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::client::{Outcome, count};
use crate::process::{Mail, Postgres, Served, make_key};
use crate::table::{Row, Series, render};
use crate::{candidates, ingest, intake, lookup, plans};

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    pub rounds: usize,
    pub ingest: Duration,
    pub lookup: Duration,
    pub intake: Duration,
    /// Stored for the look-ups: small and large.
    pub stored_spans: (u64, u64),
    pub starts: usize,
    /// Traffic for reports without an ID: hours, traces an hour, reports.
    pub labelled: (i64, usize, usize),
}

/// A run whose numbers mean something: about a quarter of an hour. Many short rounds rather than few long ones, so
/// that what else the machine does falls on ours and on the limits alike.
pub const FULL: Scale = Scale {
    rounds: 7,
    ingest: Duration::from_secs(4),
    lookup: Duration::from_secs(2),
    intake: Duration::from_secs(3),
    stored_spans: (1_000_000, 10_000_000),
    starts: 7,
    labelled: (6, 5_000, 500),
};

/// A run that only shows that the harness works: about half a minute.
pub const QUICK: Scale = Scale {
    rounds: 1,
    ingest: Duration::from_secs(1),
    lookup: Duration::from_secs(1),
    intake: Duration::from_secs(1),
    stored_spans: (20_000, 60_000),
    starts: 1,
    labelled: (3, 1_000, 60),
};

/// What all measures share.
pub struct Setup {
    // Dropped in this order: a server without its database does not end well.
    pub served: Served,
    pub bare: Served,
    pub postgres: Postgres,
    pub key: String,
    pub scale: Scale,
    pub dir: PathBuf,
    /// Number of the next trace that is sent.
    pub next_trace: AtomicU64,
    /// Traces from number 0 on that are stored.
    pub stored_traces: u64,
    /// The largest that tracedesk has been, in MiB.
    pub peak_mib: f64,
}

impl Setup {
    pub fn start(dir: &Path, scale: Scale) -> anyhow::Result<Self> {
        let postgres = Postgres::start(dir)?;
        let data_dir = dir.join("tracedesk");
        std::fs::create_dir_all(&data_dir)?;
        let key = make_key(&postgres.url, &data_dir)?;
        Ok(Self {
            served: Served::tracedesk(Some(&postgres.url), &data_dir, Mail::Away)?,
            bare: Served::bare(&postgres.url, &dir.join("bare"))?,
            postgres,
            key,
            scale,
            dir: dir.to_owned(),
            next_trace: AtomicU64::new(0),
            stored_traces: 0,
            peak_mib: 0.0,
        })
    }

    /// The head of a request that sends spans.
    pub fn export_head(&self, length: usize) -> Vec<u8> {
        format!(
            "POST /v1/traces HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n",
            self.key
        )
        .into_bytes()
    }

    /// Forgets what was stored.
    pub fn begin_again(&self, sql: &'static str) -> anyhow::Result<()> {
        self.postgres.execute(sql)?;
        self.postgres.settle()
    }

    /// Notes what processor time a load of `server` took.
    pub fn weigh(
        &self,
        server: &Served,
        load: impl FnOnce() -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<Outcome> {
        let before = (server.cpu_seconds()?, self.postgres.cpu_seconds()?);
        let mut outcome = load()?;
        let after = (server.cpu_seconds()?, self.postgres.cpu_seconds()?);
        let each = 1e6 / count(outcome.requests.max(1));
        outcome.server_us = (after.0 - before.0) * each;
        outcome.postgres_us = (after.1 - before.1) * each;
        Ok(outcome)
    }

    pub fn note_memory(&mut self) -> anyhow::Result<()> {
        self.peak_mib = self.peak_mib.max(self.served.peak_mib()?);
        Ok(())
    }
}

/// Measures and returns the table. `only` names one of its parts.
pub fn run(dir: &Path, scale: Scale, only: Option<&str>) -> anyhow::Result<String> {
    plans::listen()?;
    let mut table = Vec::new();
    if only == Some("candidates") {
        let postgres = Postgres::start(dir)?;
        let plan = candidates::measure(&postgres, scale, &mut table)?;
        postgres.stop()?;
        return Ok(format!("{}\n\n{plan}", render(&table)));
    }
    let mut setup = Setup::start(dir, scale)?;
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    if wanted("ingest") {
        ingest::measure(&mut setup, &mut table)?;
    }
    if wanted("lookup") {
        lookup::measure(&mut setup, &mut table)?;
    }
    if wanted("intake") {
        intake::measure(&mut setup, &mut table)?;
    }
    setup.note_memory()?;
    table.push(Row::judged(
        "memory, peak of tracedesk, MiB",
        format!("{:.0}", setup.peak_mib),
        String::new(),
        setup.peak_mib / 256.0,
        "< 256",
        |ratio| ratio < 1.0,
    ));
    if wanted("start") {
        starts(&mut setup, &mut table)?;
    }
    let Setup {
        postgres,
        served,
        bare,
        ..
    } = setup;
    drop((served, bare));
    if only.is_none() {
        candidates::measure(&postgres, scale, &mut table)?;
    }
    postgres.stop()?;
    Ok(render(&table))
}

/// From exec to the first 200 of `/readyz`.
fn starts(setup: &mut Setup, table: &mut Vec<Row>) -> anyhow::Result<()> {
    let (mut external, mut embedded) = (Series::default(), Series::default());
    let (beside, own) = (setup.dir.join("start"), setup.dir.join("start-embedded"));
    drop(Served::tracedesk(None, &own, Mail::Away)?); // makes its database
    for _ in 0..setup.scale.starts {
        let started = Served::tracedesk(Some(&setup.postgres.url), &beside, Mail::Away)?;
        external.add(started.started_in.as_secs_f64() * 1_000.0);
        drop(started);
        let started = Served::tracedesk(None, &own, Mail::Away)?;
        embedded.add(started.started_in.as_secs_f64() * 1_000.0);
    }
    for (name, series) in [
        ("an existing database", external),
        ("an existing embedded database", embedded),
    ] {
        table.push(Row::judged(
            format!("start on {name}, ms"),
            series.text(),
            String::new(),
            series.median() / 300.0,
            "< 300",
            |ratio| ratio < 1.0,
        ));
    }
    Ok(())
}
