//! Intake: our endpoint beside a bare handler and pgbench.

use std::time::Duration;

use chrono::Duration as Span;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tracedesk::clock::Clock;

use crate::client::{Connection, Outcome, expect, load};
use crate::limit::{self, CLIENTS};
use crate::measure::Setup;
use crate::patch::trace_id;
use crate::process::{Mail, Served};
use crate::table::{Rates, Row, Series};

/// What a report says of its trace.
#[derive(Clone, Copy)]
enum Stated {
    Nothing,
    /// An ID of which no span came yet.
    Unknown,
    /// The ID of a stored trace: the ticket is linked before the answer.
    Stored,
}

/// Measures, and adds the rows.
pub fn measure(setup: &mut Setup, table: &mut Vec<Row>) -> anyhow::Result<()> {
    let (ours, bare) = (&setup.served, &setup.bare);
    let time = setup.scale.intake;
    let mut rates = [
        Rates::default(),
        Rates::default(),
        Rates::default(),
        Rates::default(),
    ];
    let mut pgbench = Series::default();
    open(setup, ours, Stated::Nothing, time / 2)?; // warm up
    open(setup, bare, Stated::Nothing, time / 2)?;
    for round in 0..setup.scale.rounds {
        let measures = [
            (ours, Stated::Nothing),
            (bare, Stated::Nothing),
            (ours, Stated::Unknown),
            (ours, Stated::Stored),
        ];
        for ((server, stated), rates) in measures.into_iter().zip(&mut rates) {
            rates.add(&open(setup, server, stated, time)?);
            setup.postgres.settle()?;
        }
        let script = include_str!("../sql/open_ticket.pgbench");
        pgbench.add(limit::pgbench(
            &setup.postgres,
            script,
            0,
            time,
            &setup.dir,
        )?);
        setup.postgres.settle()?;
        eprintln!(
            "intake, round {}: {} / bare {}",
            round + 1,
            rates[0].text(),
            rates[1].text()
        );
    }
    let [plain, bare, unknown, stored] = rates;
    let beside = format!("bare {}; pgbench {}", bare.text(), pgbench.text());
    let ratio = |rates: &Rates| rates.per_second.ratio(&bare.per_second);
    table.push(Row::judged(
        "intake, tickets/s, 16 clients",
        plain.text(),
        beside,
        ratio(&plain),
        ">= 0.80",
        |ratio| ratio >= 0.8,
    ));
    for (name, rates) in [
        ("with a trace ID not stored yet", &unknown),
        ("linked to a stored trace", &stored),
    ] {
        table.push(Row::told(
            format!("intake {name}"),
            rates.text(),
            "the same".to_owned(),
            format!("{:.2}", ratio(rates)),
        ));
    }
    with_mail(setup, table)
}

/// The same with mails going out meanwhile, to files.
fn with_mail(setup: &mut Setup, table: &mut Vec<Row>) -> anyhow::Result<()> {
    setup.postgres.execute("DELETE FROM outbox")?;
    setup.note_memory()?;
    let data_dir = setup.dir.join("mailing");
    let mailing = Served::tracedesk(Some(&setup.postgres.url), &data_dir, Mail::Written)?;
    let mut rates = Rates::default();
    for _ in 0..setup.scale.rounds {
        rates.add(&open(setup, &mailing, Stated::Nothing, setup.scale.intake)?);
    }
    setup.peak_mib = setup.peak_mib.max(mailing.peak_mib()?);
    table.push(Row::told(
        "intake while mails are written",
        rates.text(),
        String::new(),
        String::new(),
    ));
    Ok(())
}

fn open(setup: &Setup, server: &Served, stated: Stated, time: Duration) -> anyhow::Result<Outcome> {
    let occurred_at = (Clock::system().now() - Span::minutes(3)).to_rfc3339();
    let path = if server.address == setup.bare.address {
        "/tickets"
    } else {
        "/api/v1/tickets"
    };
    let worker = |client: usize| {
        let mut rng = SmallRng::seed_from_u64(client as u64);
        let (key, occurred_at, stored) =
            (setup.key.clone(), occurred_at.clone(), setup.stored_traces);
        move |connection: &mut Connection| {
            let trace = match stated {
                Stated::Nothing => String::new(),
                Stated::Unknown => format!("\"trace_id\":\"{:032x}\",", rng.random::<u128>()),
                Stated::Stored => {
                    format!(
                        "\"trace_id\":\"{}\",",
                        trace_id(rng.random_range(0..stored)).simple()
                    )
                }
            };
            let body = format!(
                "{{{trace}\"action\":\"asking about a contract of 40 pages\",\"page_url\":\"https://app.example.com/docs/7\",\
                 \"occurred_at\":\"{occurred_at}\",\"kind\":\"chat\"}}"
            );
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            expect(connection, request.as_bytes(), b"", 201)
        }
    };
    setup.weigh(server, || load(server.address, CLIENTS, time, worker))
}
