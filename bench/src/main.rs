//! Measures tracedesk beside the limits of the same machine, in the same run.

mod bare;
mod candidates;
mod client;
mod ingest;
mod intake;
mod labelled;
mod limit;
mod lookup;
mod measure;
mod patch;
mod plans;
mod process;
mod spans;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// As tracedesk has, so that the bare handlers differ in nothing but what they do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure and print the table
    Run {
        /// Half a minute that only shows that the harness works
        #[arg(long)]
        quick: bool,
        /// One part alone: ingest, lookup, intake, start or candidates
        #[arg(long)]
        only: Option<String>,
        /// Where the databases go; made, and removed afterwards
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Print the plans of the hot statements on a filled database
    Plans {
        /// On little data
        #[arg(long)]
        quick: bool,
        /// Where the database goes; made, and removed afterwards
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Serve the bare handlers (the harness starts this itself)
    #[command(hide = true)]
    Bare { address: SocketAddr },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Task::Run { quick, only, dir } => {
            let scale = if quick { measure::QUICK } else { measure::FULL };
            report(dir, |dir| measure::run(dir, scale, only.as_deref()))
        }
        Task::Plans { quick, dir } => report(dir, |dir| plans::run(dir, quick)),
        Task::Bare { address } => {
            let url = std::env::var("DATABASE_URL")?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?
                .block_on(bare::serve(address, &url))
        }
    }
}

/// Prints what `work` found. The folder is kept when it failed, for its logs.
fn report(
    dir: Option<PathBuf>,
    work: impl FnOnce(&std::path::Path) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let name = format!("tracedesk-bench-{}", std::process::id());
    let dir = dir.unwrap_or_else(|| std::env::temp_dir().join(name));
    std::fs::create_dir_all(&dir)?;
    let text = work(&dir)?;
    println!("{text}");
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
