//! `tracedesk serve`: the service, until it is told to stop.

use std::net::TcpListener;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::database::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::ingest::writer;
use crate::outbox::mailer::Mailer;
use crate::state::AppState;
use crate::tickets::blobs::Blobs;
use crate::traces::store as traces;
use crate::workers::Workers;
use crate::{server, telemetry};

/// Connections to Postgres: two writers, a few workers, and requests; beyond that Postgres only queues.
const CONNECTIONS: u32 = 24;

/// Runs the service.
///
/// # Errors
/// Why it could not start, or had to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
    telemetry::init(&config.log, config.log_json).map_err(anyhow::Error::msg)?;
    // Before anything is started: an address in use is the most common mistake.
    let listener = bind(&config)?;
    let mut database = Database::open(&config, CONNECTIONS).await?;
    let outcome = serve(config, listener, &mut database).await;
    database.close().await?;
    tracing::info!("Stopped");
    outcome
}

fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen).with_context(|| {
        format!(
            "can't listen on {}; stop what uses it, or set TRACEDESK_LISTEN",
            config.listen
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(
    config: Config,
    listener: TcpListener,
    database: &mut Database,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let smtp_url = config
        .smtp_url
        .as_ref()
        .map(secrecy::ExposeSecret::expose_secret);
    let mailer = Mailer::from_config(smtp_url, &config.data_dir)?;
    let today = clock.now().date_naive();
    traces::ensure_partitions(&mut *database.pool.acquire().await?, today).await?;
    let (queue, writers) = writer::queue(writer::QUEUE_BYTES);
    let blobs = Blobs::new(config.attachments.as_ref())?;
    let state = AppState {
        blobs,
        ..AppState::new(database.pool.clone(), config, clock, queue)
    };
    let mut workers = Workers::start(&state, writers, mailer);
    let server = server::serve(listener, state.clone())?;
    let handle = server.handle();
    // A task of its own: it must go on running to be able to stop.
    let mut server = tokio::spawn(server);
    tracing::info!(url = %state.config.base_url, "Serving");
    let outcome = tokio::select! {
        ended = &mut server => ended?.context("the server ended"),
        ended = workers.watch() => ended,
        ended = embedded_ended(database) => ended,
        asked = stop_signal() => asked,
    };
    tracing::info!("Stopping");
    handle.stop(true).await;
    workers.stop().await;
    outcome
}

async fn embedded_ended(database: &mut Database) -> anyhow::Result<()> {
    match &mut database.embedded {
        Some(embedded) => Ok(embedded.wait().await?),
        None => std::future::pending().await,
    }
}

async fn stop_signal() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
