//! Configuration: environment variables, or the same keys in `tracedesk.toml`; the environment wins. Every bad
//! value is reported at once.

mod base_url;
mod file;
mod s3;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lettre::message::Mailbox;
use secrecy::SecretString;
use url::Url;

use self::file::File;
use crate::content::Content;
use crate::failure_rule::FailureRules;

pub use base_url::BaseUrl;
pub use s3::S3Config;

/// A variable that tracedesk reads: its name, its default as shown in the help, what it means.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name in the environment and in the file.
    pub name: &'static str,
    /// The default, in words where it is not a value.
    pub default: &'static str,
    /// What it means, one line.
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($name:literal, $default:literal, $meaning:literal;)*) => {
        /// All variables, in the order of the help.
        pub const SETTINGS: &[Setting] = &[$(Setting { name: $name, default: $default, meaning: $meaning }),*];
    };
}

settings! {
    "DATABASE_URL", "unset: embedded Postgres in the data folder", "Postgres 15 or newer";
    "DATABASE_DIRECT_URL", "DATABASE_URL", "a connection past pgbouncer, for migrations";
    "TRACEDESK_LISTEN", "127.0.0.1:8080", "address to listen on";
    "TRACEDESK_BASE_URL", "http:// + listen", "how people reach it; the only source of links in mails and pages";
    "TRACEDESK_DATA_DIR", "./data", "embedded database, and mails when no SMTP is set";
    "TRACEDESK_PG_BIN", "found", "folder with initdb and postgres, for the embedded database";
    "SMTP_URL", "unset: mails become .eml files in the data folder", "smtp:// or smtps://, with ?tls=required";
    "TRACEDESK_MAIL_FROM", "tracedesk@localhost", "sender of mails";
    "TRACEDESK_NOTIFY", "support@localhost", "comma-separated staff addresses that hear of each report";
    "TRACEDESK_RETENTION_DAYS", "14", "unpinned traces older than this are dropped";
    "TRACEDESK_LINK_GRACE_SECS", "10", "how long the first notice waits for a trace that is still on its way";
    "TRACEDESK_TRUSTED_PROXIES", "none", "comma-separated addresses or networks whose X-Forwarded-For is believed";
    "TRACEDESK_CONTENT", "built in", "file with your wording, links, colours, logo and languages (docs/content.md)";
    "TRACEDESK_ATTACHMENTS", "postgres", "where screenshots are kept: postgres, or s3://bucket/folder of any store that speaks S3";
    "AWS_ENDPOINT_URL", "AWS's own", "address of that store, such as https://s3.example.com";
    "AWS_REGION", "us-east-1", "its region";
    "AWS_ACCESS_KEY_ID", "looked for as AWS's programs do", "key for the store";
    "AWS_SECRET_ACCESS_KEY", "looked for as AWS's programs do", "and its secret";
    "TRACEDESK_LOG", "info", "log level, or directives such as info,sqlx=warn";
    "TRACEDESK_LOG_FORMAT", "text", "text or json";
    "TRACEDESK_CONFIG", "./tracedesk.toml", "the file with these same keys, if there is one";
}

/// Name of the file looked for in the current folder.
const DEFAULT_FILE: &str = "tracedesk.toml";
/// Retention may not be longer: ten years of daily partitions make every look-up slow.
const MAX_RETENTION_DAYS: u32 = 3_650;
/// The first notice may not wait longer than an hour.
const MAX_GRACE_SECS: u32 = 3_600;

/// What the service runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// `None`: the embedded Postgres.
    pub database_url: Option<SecretString>,
    /// For migrations; `None`: as `database_url`.
    pub database_direct_url: Option<SecretString>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// How people reach it, without a slash at the end.
    pub base_url: BaseUrl,
    /// Embedded database and mail files.
    pub data_dir: PathBuf,
    /// Where the embedded Postgres's programs are, if told.
    pub pg_bin: Option<PathBuf>,
    /// `None`: mails become files.
    pub smtp_url: Option<SecretString>,
    /// Sender of mails.
    pub mail_from: Mailbox,
    /// Staff addresses that hear of each report.
    pub notify: Vec<Mailbox>,
    /// Days that unpinned traces are kept.
    pub retention_days: u32,
    /// How long the first notice waits for its trace.
    pub link_grace: Duration,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What reporters read.
    pub content: Arc<Content>,
    /// The operator's rules for failure classes.
    pub failure_rules: Arc<FailureRules>,
    /// The store of screenshots; `None`: Postgres.
    pub attachments: Option<S3Config>,
    /// Directives for the log.
    pub log: String,
    /// Whether the log is JSON lines.
    pub log_json: bool,
}

/// Everything that is wrong with the configuration, a line each.
#[derive(Debug, thiserror::Error)]
#[error("the configuration can't be used:\n  {}", .0.join("\n  "))]
pub struct ConfigError(Vec<String>);

impl Config {
    /// Reads the process's environment and the file that it names.
    ///
    /// # Errors
    /// [`ConfigError`] with every bad value.
    pub fn load() -> Result<Self, ConfigError> {
        let named = std::env::var("TRACEDESK_CONFIG").ok();
        let path = PathBuf::from(named.as_deref().unwrap_or(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => File::parse(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                File::default()
            }
            Err(error) => {
                return Err(ConfigError(vec![format!(
                    "{} can't be read: {error}",
                    path.display()
                )]));
            }
        };
        let value = |name: &str| {
            let set = std::env::var(name).ok();
            set.or_else(|| file.values.get(name).cloned())
        };
        let mut errors = file.errors.clone();
        match Self::from_values(value) {
            Ok(config) if errors.is_empty() => Ok(Self {
                failure_rules: Arc::new(file.failure_rules),
                ..config
            }),
            Ok(_) => Err(ConfigError(errors)),
            Err(ConfigError(bad_values)) => {
                errors.extend(bad_values);
                Err(ConfigError(errors))
            }
        }
    }

    /// Builds the configuration from a look-up by name; an empty value counts as unset.
    ///
    /// # Errors
    /// [`ConfigError`] with every bad value.
    pub fn from_values(value: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut values = Values {
            value,
            errors: Vec::new(),
        };
        let listen = values.parse("TRACEDESK_LISTEN", "127.0.0.1:8080", socket_address);
        let default_base = format!(
            "http://{}",
            listen.map_or_else(String::new, |listen| listen.to_string())
        );
        let base_url = values.parse("TRACEDESK_BASE_URL", &default_base, BaseUrl::parse);
        let mail_from = values.parse("TRACEDESK_MAIL_FROM", "tracedesk@localhost", mailbox);
        let notify = values.parse("TRACEDESK_NOTIFY", "support@localhost", mailboxes);
        let retention_days = values.parse("TRACEDESK_RETENTION_DAYS", "14", |text| {
            number(text, 1, MAX_RETENTION_DAYS)
        });
        let grace = values.parse("TRACEDESK_LINK_GRACE_SECS", "10", |text| {
            number(text, 0, MAX_GRACE_SECS)
        });
        let trusted_proxies = values.parse("TRACEDESK_TRUSTED_PROXIES", "", networks);
        let content = values.parse("TRACEDESK_CONTENT", "", content);
        let attachments = values.parse("TRACEDESK_ATTACHMENTS", "postgres", s3::place);
        let endpoint = values.parse("AWS_ENDPOINT_URL", "", s3::endpoint);
        let log_json = values.parse("TRACEDESK_LOG_FORMAT", "text", is_json);
        let database_url = values.secret_url("DATABASE_URL", &["postgres", "postgresql"]);
        let database_direct_url =
            values.secret_url("DATABASE_DIRECT_URL", &["postgres", "postgresql"]);
        let smtp_url = values.secret_url("SMTP_URL", &["smtp", "smtps"]);
        let data_dir = PathBuf::from(
            values
                .get("TRACEDESK_DATA_DIR")
                .unwrap_or_else(|| "./data".to_owned()),
        );
        let pg_bin = values.get("TRACEDESK_PG_BIN").map(PathBuf::from);
        let log = values
            .get("TRACEDESK_LOG")
            .unwrap_or_else(|| "info".to_owned());
        let s3 = attachments.flatten().map(|(bucket, prefix)| S3Config {
            bucket,
            prefix,
            endpoint: endpoint.flatten(),
            region: values.get("AWS_REGION"),
            access_key_id: values.get("AWS_ACCESS_KEY_ID"),
            secret_access_key: values.get("AWS_SECRET_ACCESS_KEY").map(SecretString::from),
        });
        values.finish(|| {
            Some(Self {
                database_url,
                database_direct_url,
                listen: listen?,
                base_url: base_url?,
                data_dir,
                pg_bin,
                smtp_url,
                mail_from: mail_from?,
                notify: notify?,
                retention_days: retention_days?,
                link_grace: Duration::from_secs(grace?.into()),
                trusted_proxies: trusted_proxies?,
                content: content?,
                failure_rules: Arc::default(),
                attachments: s3,
                log,
                log_json: log_json?,
            })
        })
    }
}

struct Values<F> {
    value: F,
    errors: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Values<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.value)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn parse<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(name).unwrap_or_else(|| default.to_owned());
        parse(&value)
            .map_err(|error| self.errors.push(format!("{name}: {error}")))
            .ok()
    }

    /// What was built of the values, unless something is wrong with any of them.
    fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, ConfigError> {
        match build() {
            Some(whole) if self.errors.is_empty() => Ok(whole),
            _ => Err(ConfigError(self.errors)),
        }
    }

    /// The error never shows the value: it may hold a password.
    fn secret_url(&mut self, name: &str, schemes: &[&str]) -> Option<SecretString> {
        let value = self.get(name)?;
        let is_good = Url::parse(&value).is_ok_and(|url| schemes.contains(&url.scheme()));
        if !is_good {
            self.errors.push(format!(
                "{name}: not a URL that starts with {}://",
                schemes.join(":// or ")
            ));
        }
        Some(SecretString::from(value))
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_not_one| format!("{text:?} is not an address such as 127.0.0.1:8080"))
}

fn content(path: &str) -> Result<Arc<Content>, String> {
    if path.is_empty() {
        return Ok(Arc::new(Content::built_in().clone()));
    }
    let loaded = Content::load(Path::new(path)).map_err(|error| error.to_string());
    loaded.map(Arc::new)
}

fn is_json(format: &str) -> Result<bool, String> {
    match format {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err(format!("{format:?} is neither text nor json")),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let one = |part: &str| {
        let address = part.parse::<IpAddr>().map(IpNet::from);
        address
            .or_else(|_network| part.parse())
            .map_err(|_neither| {
                format!("{part:?} is neither an address nor a network such as 10.0.0.0/8")
            })
    };
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(one)
        .collect()
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("{text:?} is not a mail address: {error}"))
}

fn mailboxes(text: &str) -> Result<Vec<Mailbox>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(mailbox)
        .collect()
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let value = text
        .parse()
        .ok()
        .filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| format!("{text:?} is not a whole number from {least} to {most}"))
}

/// The table of settings for `tracedesk serve --help`.
#[must_use]
pub fn help() -> String {
    let rows = SETTINGS.iter().map(|s| {
        format!(
            "  {:<26} {}\n{:29}default: {}",
            s.name, s.meaning, "", s.default
        )
    });
    format!(
        "Settings (environment variables, or the same keys in tracedesk.toml; the environment wins):\n{}",
        rows.collect::<Vec<_>>().join("\n")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn load(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let values: HashMap<_, _> = values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Config::from_values(|name| values.get(name).cloned())
    }

    #[test]
    fn defaults_suffice_and_links_follow_the_address() {
        let config = load(&[("TRACEDESK_LISTEN", "127.0.0.1:9999")]).unwrap();
        assert_eq!(config.base_url.join("/desk"), "http://127.0.0.1:9999/desk");
        assert!(config.database_url.is_none());
        assert_eq!(config.retention_days, 14);
    }

    #[test]
    fn every_bad_value_is_named_at_once_and_no_secret_is_shown() {
        let error = load(&[
            ("TRACEDESK_LISTEN", "here"),
            ("TRACEDESK_NOTIFY", "a@example.com, nobody"),
            ("TRACEDESK_RETENTION_DAYS", "0"),
            ("SMTP_URL", "user:secret@mail"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "TRACEDESK_LISTEN",
            "TRACEDESK_NOTIFY",
            "TRACEDESK_RETENTION_DAYS",
            "SMTP_URL",
        ] {
            assert!(error.contains(name), "{name} in {error}");
        }
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_the_file_is_named_at_once() {
        let text = "tracedesk_listn = \"x\"\n[[failure_rule]]\nattribute = \"a\"";
        let errors = File::parse(Path::new("tracedesk.toml"), text).errors;
        assert!(errors.iter().any(|error| error.contains("tracedesk_listn")));
        assert!(errors.iter().any(|error| error.contains("failure_rule 1")));
    }
}
