//! The tracedesk program.

use std::process::ExitCode;

/// Requests make many small allocations on few threads, where it is about a third faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracedesk::cli::run()
}
