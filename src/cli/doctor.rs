//! `tracedesk doctor`: checks what the service needs, and says how to mend what is wrong.

use std::path::Path;
use std::process::ExitCode;

use super::database::{COMMAND_CONNECTIONS, Database};
use crate::access::store;
use crate::config::Config;
use crate::outbox::mailer::Mailer;
use crate::outbox::message::one_line;
use crate::tickets::blobs::Blobs;

/// Stores answer with pages of XML.
const MAX_ERROR_CHARS: usize = 400;

/// Runs the checks; exits 1 when one of them fails.
///
/// # Errors
/// None that a check does not report itself.
#[expect(clippy::print_stdout, reason = "the output of a command")]
pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let checks = [
        ("data folder", data_folder(&config.data_dir)),
        ("database", database(&config).await),
        ("mail", mail(&config).await),
        ("screenshots", screenshots(&config).await),
        ("base URL", base_url(&config)),
    ];
    for (name, outcome) in &checks {
        match outcome {
            Ok(text) => println!("ok     {name}: {text}"),
            Err(text) => println!("wrong  {name}: {text}"),
        }
    }
    let has_failed = checks.iter().any(|(_, outcome)| outcome.is_err());
    Ok(if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

type Check = Result<String, String>;

fn data_folder(path: &Path) -> Check {
    let probe = path.join(".doctor");
    let written = std::fs::create_dir_all(path)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Ok(format!("{} can be written", path.display())),
        Err(error) => Err(format!(
            "{} can't be written ({error}); give it to the user that runs tracedesk, or set TRACEDESK_DATA_DIR",
            path.display()
        )),
    }
}

async fn database(config: &Config) -> Check {
    let database = Database::open(config, COMMAND_CONNECTIONS)
        .await
        .map_err(|error| format!("{error:#}"))?;
    let kind = if database.embedded.is_some() {
        "the embedded Postgres"
    } else {
        "the Postgres of DATABASE_URL"
    };
    let staff = match database.pool.acquire().await {
        Ok(mut conn) => store::has_staff(&mut conn).await,
        Err(error) => Err(error),
    };
    database
        .close()
        .await
        .map_err(|error| format!("{error:#}"))?;
    match staff {
        Ok(true) => Ok(format!("{kind} answers, its schema is up to date")),
        Ok(false) => Err(format!(
            "{kind} answers, but nobody can sign in; run: tracedesk staff add EMAIL --role admin"
        )),
        Err(error) => Err(error.to_string()),
    }
}

async fn mail(config: &Config) -> Check {
    let smtp_url = config
        .smtp_url
        .as_ref()
        .map(secrecy::ExposeSecret::expose_secret);
    let mailer =
        Mailer::from_config(smtp_url, &config.data_dir).map_err(|error| error.to_string())?;
    mailer.check().await.map_err(|error| error.to_string())?;
    Ok(match &mailer {
        Mailer::Files(folder) => format!(
            "SMTP_URL is unset; mails become files in {}",
            folder.display()
        ),
        Mailer::Smtp(_) => "the mail server lets us in".to_owned(),
    })
}

async fn screenshots(config: &Config) -> Check {
    let Some(store) = &config.attachments else {
        return Ok("kept in Postgres".to_owned());
    };
    let checked = match Blobs::new(Some(store)) {
        Ok(blobs) => blobs.check().await,
        Err(error) => Err(error),
    };
    let bucket = &store.bucket;
    match checked {
        Ok(()) => Ok(format!(
            "the bucket {bucket} can be written, read and cleared"
        )),
        Err(error) => Err(format!(
            "the bucket {bucket} does not work ({}); check TRACEDESK_ATTACHMENTS and AWS_*; screenshots stay in Postgres until then",
            one_line(&error.to_string(), MAX_ERROR_CHARS)
        )),
    }
}

fn base_url(config: &Config) -> Check {
    let url = &config.base_url;
    if !url.is_https() && !config.listen.ip().is_loopback() {
        return Err(format!(
            "{url} is not https: passwords and cookies travel in clear; put a proxy with TLS in front"
        ));
    }
    Ok(format!("links will start with {url}"))
}
