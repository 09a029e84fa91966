//! `tracedesk import`: traces from files. A bad record names file and position; the good ones are kept.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Notify;

use super::counted;
use super::database::{COMMAND_CONNECTIONS, Database};
use crate::clock::Clock;
use crate::config::Config;
use crate::failure_rule::FailureRules;
use crate::ingest::import::read_file;
use crate::ingest::split::split;
use crate::ingest::writer::store_directly;
use crate::links::resolve::Resolver;
use crate::traces::ids::TraceId;

/// Bytes of spans stored at a time: as much as the service's writers take.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

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

/// Where spans go, and by which rules their failures are classed.
struct Target<'a> {
    database: &'a Database,
    rules: &'a Arc<FailureRules>,
}

/// Runs the command. Exits 1 when anything was left out.
///
/// # Errors
/// What is wrong with the database.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub async fn run(config: Config, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let database = Database::open(&config, COMMAND_CONNECTIONS).await?;
    let mut imported = Imported::default();
    let into = Target {
        database: &database,
        rules: &config.failure_rules,
    };
    let done = import_all(&into, &args.files, &mut imported).await;
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

async fn import_all(
    into: &Target<'_>,
    files: &[PathBuf],
    imported: &mut Imported,
) -> anyhow::Result<()> {
    let sizes = files
        .iter()
        .map(|file| std::fs::metadata(file).map_or(0, |data| data.len()));
    let bar = progress_bar(sizes.clone().sum());
    for (file, size) in files.iter().zip(sizes) {
        let before = bar.position();
        let say =
            |problem: &dyn std::fmt::Display| bar.suspend(|| eprintln!("tracedesk: {problem}"));
        import_file(into, file, imported, &say, &|read| {
            bar.set_position(before + read);
        })
        .await?;
        bar.set_position(before + size);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Reads a file and stores it in batches: records may be as small as one span.
async fn import_file(
    into: &Target<'_>,
    file: &Path,
    imported: &mut Imported,
    say: &dyn Fn(&dyn std::fmt::Display),
    progress: &dyn Fn(u64),
) -> anyhow::Result<()> {
    let chunks = match read_file(file) {
        Ok(chunks) => chunks,
        Err(error) => {
            say(&error);
            imported.failures += 1;
            return Ok(());
        }
    };
    let mut batch = Vec::new();
    for chunk in chunks {
        match chunk {
            Ok(chunk) => {
                progress(chunk.bytes_read);
                // Encoded requests that follow each other are one request.
                batch.extend_from_slice(&chunk.request);
                if let Some(reason) = chunk.first_reason {
                    imported.failures += chunk.rejected;
                    say(&format_args!(
                        "{}: {} left out: {reason}",
                        file.display(),
                        counted(chunk.rejected, "span")
                    ));
                }
            }
            Err(error) => {
                say(&error);
                imported.failures += 1;
            }
        }
        if batch.len() > BATCH_BYTES {
            import_batch(into, file, &std::mem::take(&mut batch), imported, say).await?;
        }
    }
    import_batch(into, file, &batch, imported, say).await
}

fn progress_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// Stores spans, and links tickets that wait for them.
async fn import_batch(
    into: &Target<'_>,
    file: &Path,
    request: &[u8],
    imported: &mut Imported,
    say: &dyn Fn(&dyn std::fmt::Display),
) -> anyhow::Result<()> {
    let database = into.database;
    let split = match split(request, into.rules) {
        Ok(split) => split,
        Err(error) => {
            imported.failures += 1;
            say(&format_args!("{}: {error}", file.display()));
            return Ok(());
        }
    };
    let clock = Clock::system();
    store_directly(&mut *database.pool.acquire().await?, &clock, &split.parts)
        .await
        .context("storing spans")?;
    let ids: Vec<TraceId> = split.parts.iter().map(|part| part.trace_id).collect();
    let resolver =
        Resolver::new(database.pool.clone(), clock, Arc::new(Notify::new())).with_rules(into.rules);
    resolver
        .traces_stored(&ids)
        .await
        .context("linking tickets")?;
    imported.spans += split.accepted;
    imported.traces.extend(ids);
    if let Some(reason) = split.first_reason {
        imported.failures += split.rejected;
        say(&format_args!(
            "{}: {} left out: {reason}",
            file.display(),
            counted(split.rejected, "span")
        ));
    }
    Ok(())
}
