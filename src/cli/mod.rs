//! The command line: one file a subcommand. Exit 0 on success, 1 on a failure explained in one line on stderr, 2 on
//! wrong usage.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config};

pub mod database;
pub mod demo;
pub mod doctor;
pub mod import;
pub mod key;
pub mod migrate;
pub mod serve;
pub mod staff;
pub mod trace;

/// Support reports joined to the OpenTelemetry traces of what happened.
#[derive(Debug, Parser)]
#[command(name = "tracedesk", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service; applies migrations, starts the embedded database if `DATABASE_URL` is unset
    #[command(after_help = config::help())]
    Serve,
    /// Apply migrations and end
    Migrate,
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Add members of staff
    #[command(subcommand)]
    Staff(staff::StaffCommand),
    /// Import traces from files: OTLP JSON (one object or JSON lines), OTLP protobuf, Jaeger JSON
    Import(import::ImportArgs),
    /// Look a trace up: by its ID in any shape
    Trace(trace::TraceArgs),
    /// Seed the database with real sample traces and reports
    Demo,
    /// Check database, SMTP, base URL and data folder; say what is wrong and how to mend it
    Doctor,
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error)),
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let config = Config::load()?;
    match command {
        Command::Serve => serve::run(config).await?,
        Command::Migrate => migrate::run(config).await?,
        Command::Key(command) => key::run(config, command).await?,
        Command::Staff(command) => staff::run(config, command).await?,
        Command::Import(args) => return import::run(config, args).await,
        Command::Trace(args) => trace::run(config, args).await?,
        Command::Demo => demo::run(config).await?,
        Command::Doctor => return doctor::run(config).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// One line, causes included.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("tracedesk: {error:#}");
    ExitCode::FAILURE
}

/// A number with its noun: 1 span, 2 spans.
fn counted(count: impl std::fmt::Display, noun: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
