//! `tracedesk key create | list | revoke`.

use anyhow::bail;
use clap::Subcommand;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::database::{COMMAND_CONNECTIONS, Database};
use crate::access::api_key::{ApiKey, KeyKind, MAX_ORIGINS, Scope, parse_origin};
use crate::access::store::{self, Rights};
use crate::clock::Clock;
use crate::config::Config;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, alone on stdout, once
    Create {
        /// Whose key: an account, made if there is none of the name
        #[arg(long)]
        account: String,
        /// What it may do, comma-separated: tickets:write, tickets:read, traces:write, traces:read, admin
        #[arg(long, value_delimiter = ',', required_unless_present = "publishable")]
        scope: Vec<Scope>,
        /// A key that may stand in a page for all to see: it only opens tickets, from pages of --origin
        #[arg(long, requires = "origin", conflicts_with = "scope")]
        publishable: bool,
        /// Whose pages may use it, comma-separated, as `https://app.example.com`
        #[arg(long, value_delimiter = ',', value_parser = parse_origin, requires = "publishable", conflicts_with = "scope")]
        origin: Vec<String>,
        /// What it is for, shown in `key list`
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List all keys
    List,
    /// Revoke a key
    Revoke {
        /// The key's ID, from `key list`
        id: Uuid,
    },
}

/// Runs the command.
///
/// # Errors
/// What is wrong.
pub async fn run(config: Config, command: KeyCommand) -> anyhow::Result<()> {
    let database = Database::open(&config, COMMAND_CONNECTIONS).await?;
    let done = execute(&database, command).await;
    database.close().await?;
    done
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
async fn execute(database: &Database, command: KeyCommand) -> anyhow::Result<()> {
    let mut conn = database.pool.acquire().await?;
    let now = Clock::system().now();
    match command {
        KeyCommand::Create {
            account,
            scope,
            publishable,
            origin,
            label,
        } => {
            if account.trim().is_empty() || account.contains('\0') {
                bail!("the account needs a name");
            }
            if origin.len() > MAX_ORIGINS {
                bail!("a key may have {MAX_ORIGINS} origins at most");
            }
            let (kind, rights) = if publishable {
                (KeyKind::Publishable, Rights::Publishable(&origin))
            } else {
                (KeyKind::Secret, Rights::Secret(&scope))
            };
            let key = ApiKey::generate(kind);
            store::insert_key(&mut conn, account.trim(), &label, rights, key.hash(), now).await?;
            println!("{}", key.reveal().expose_secret());
        }
        KeyCommand::List => {
            for key in store::list_keys(&mut conn).await? {
                let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                let may = key.origins.map_or_else(
                    || scopes.join(","),
                    |origins| format!("publishable for {}", origins.join(",")),
                );
                let used = key.last_used_at.map_or_else(
                    || "never used".to_owned(),
                    |at| format!("last used {}", minute(at)),
                );
                let state = key
                    .revoked_at
                    .map_or(used, |at| format!("revoked {}", minute(at)));
                println!(
                    "{}  {}  {}  {}  {}",
                    key.id, key.account, may, state, key.label
                );
            }
        }
        KeyCommand::Revoke { id } => {
            if !store::revoke_key(&mut conn, id, now).await? {
                bail!("there is no key {id} that is not revoked; `tracedesk key list` shows them");
            }
            println!("revoked {id}");
        }
    }
    Ok(())
}

fn minute(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}
