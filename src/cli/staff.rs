//! `tracedesk staff add`.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use email_address::EmailAddress;
use secrecy::{ExposeSecret as _, SecretString};

use super::database::{COMMAND_CONNECTIONS, Database};
use crate::access::password::{self, MAX_PASSWORD_BYTES};
use crate::access::session::Role;
use crate::access::store;
use crate::clock::Clock;
use crate::config::Config;

/// What to do with staff.
#[derive(Debug, Subcommand)]
pub enum StaffCommand {
    /// Add a member of staff, or give one a new password; prints a generated password if none is given
    Add {
        /// Their address, with which they sign in
        email: String,
        /// admin or staff
        #[arg(long, default_value = "staff")]
        role: Role,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// What is wrong.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub async fn run(config: Config, command: StaffCommand) -> anyhow::Result<()> {
    let StaffCommand::Add {
        email,
        role,
        password_stdin,
    } = command;
    let email = email.trim().to_owned();
    if !EmailAddress::is_valid(&email) {
        bail!("{email:?} is not a mail address such as you@example.com");
    }
    let password = if password_stdin {
        read_password()?
    } else {
        password::generate()
    };
    let hash = password::hash(&password)?;
    let database = Database::open(&config, COMMAND_CONNECTIONS).await?;
    let now = Clock::system().now();
    let added = store::upsert_staff(
        &mut *database.pool.acquire().await?,
        &email,
        &hash,
        role,
        now,
    )
    .await;
    database.close().await?;
    added?;
    if !password_stdin {
        println!("{}", password.expose_secret());
    }
    Ok(())
}

fn read_password() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let limit = u64::try_from(MAX_PASSWORD_BYTES).unwrap_or(u64::MAX) + 2;
    std::io::stdin()
        .take(limit)
        .read_to_string(&mut text)
        .context("the password could not be read")?;
    Ok(SecretString::from(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}
