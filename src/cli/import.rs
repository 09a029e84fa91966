//! `tracedesk import`: traces from files. A bad record names file and position; the good ones are kept.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Notify;

use super::database::{COMMAND_CONNECTIONS, Database};
use crate::clock::Clock;
use crate::config::Config;
use crate::ingest::import::{Chunk, read_file};
use crate::ingest::split::split;
use crate::ingest::writer::store_directly;
use crate::links::resolve::Resolver;
use crate::traces::ids::TraceId;

/// Which files.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// OTLP JSON, OTLP protobuf or Jaeger JSON, also gzipped; told apart by content
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// What was imported so far.
#[derive(Debug, Default)]
pub struct Imported {
    /// Spans stored.
    pub spans: usize,
    /// Their traces.
    pub traces: HashSet<TraceId>,
    /// Spans and records left out.
    pub failures: u64,
}

/// Runs the command. Exits 1 when anything was left out.
///
/// # Errors
/// What is wrong with the database.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub async fn run(config: Config, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let database = Database::open(&config, COMMAND_CONNECTIONS).await?;
    let mut imported = Imported::default();
    let done = import_all(&database, &args.files, &mut imported).await;
    database.close().await?;
    done?;
    println!(
        "{} of {}",
        counted(imported.spans, "span"),
        counted(imported.traces.len(), "trace")
    );
    if imported.failures > 0 {
        eprintln!(
            "tracedesk: {} left out, named above",
            counted(imported.failures, "record")
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(count: impl std::fmt::Display, noun: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

async fn import_all(
    database: &Database,
    files: &[PathBuf],
    imported: &mut Imported,
) -> anyhow::Result<()> {
    let total = files
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|data| data.len())
        .sum();
    let bar = progress_bar(total);
    for file in files {
        let chunks = match read_file(file) {
            Ok(chunks) => chunks,
            Err(error) => {
                bar.suspend(|| eprintln!("tracedesk: {error}"));
                imported.failures += 1;
                continue;
            }
        };
        for chunk in chunks {
            match chunk {
                Ok(chunk) => {
                    bar.inc(chunk.bytes_read);
                    let file_name = file.display().to_string();
                    if let Some(problem) = import_chunk(database, &chunk, imported).await? {
                        bar.suspend(|| eprintln!("tracedesk: {file_name}: {problem}"));
                    }
                }
                Err(error) => {
                    bar.suspend(|| eprintln!("tracedesk: {error}"));
                    imported.failures += 1;
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// Stores a chunk's spans and links tickets that wait for them. Returns what was left out, in words.
///
/// # Errors
/// The database's.
pub async fn import_chunk(
    database: &Database,
    chunk: &Chunk,
    imported: &mut Imported,
) -> anyhow::Result<Option<String>> {
    let split = match split(&chunk.request) {
        Ok(split) => split,
        Err(error) => {
            imported.failures += 1;
            return Ok(Some(error.to_string()));
        }
    };
    let clock = Clock::system();
    store_directly(&mut *database.pool.acquire().await?, &clock, &split.parts)
        .await
        .context("storing spans")?;
    let ids: Vec<TraceId> = split.parts.iter().map(|part| part.trace_id).collect();
    let resolver = Resolver::new(database.pool.clone(), clock, Arc::new(Notify::new()));
    resolver
        .traces_stored(&ids)
        .await
        .context("linking tickets")?;
    imported.spans += split.accepted;
    imported.traces.extend(ids);
    let rejected = split.rejected + chunk.rejected;
    imported.failures += rejected;
    let reason = chunk
        .first_reason
        .clone()
        .or(split.first_reason)
        .unwrap_or_default();
    Ok((rejected > 0).then(|| format!("{} left out: {reason}", counted(rejected, "span"))))
}
