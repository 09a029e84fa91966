//! `tracedesk demo`: seeds the database.

use crate::config::Config;

/// Seeds.
///
/// # Errors
/// What is wrong.
pub async fn run(_config: Config) -> anyhow::Result<()> {
    Ok(())
}
