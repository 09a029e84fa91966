//! `tracedesk migrate`: migrations alone.

use super::database::{COMMAND_CONNECTIONS, Database};
use crate::config::Config;

/// Brings the schema up to date.
///
/// # Errors
/// What is wrong.
pub async fn run(config: Config) -> anyhow::Result<()> {
    Database::open(&config, COMMAND_CONNECTIONS)
        .await?
        .close()
        .await
}
