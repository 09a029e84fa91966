//! A message as its form brings it: checked, its screenshots kept, and given back whole when it can't be sent.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::drafts::{self, FilesIntent};
use super::message::message_body;
use super::message_view::ReplyForm;
use crate::content::Words;
use crate::http::error::Problem;
use crate::http::form::{Fields, Form};

/// What is to be done with the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send this text.
    Send(String),
    /// Show the form again: only its files were changed.
    Again,
    /// Show the form again: something is wrong with it.
    Refused,
}

/// Reads the form, and says in these words what is wrong with it. `refusal` says why nothing is taken at present, not even files.
///
/// # Errors
/// [`Problem`] when files can't be kept now.
pub async fn read(
    pool: &PgPool,
    now: DateTime<Utc>,
    form: Form,
    words: &Words,
    refusal: Option<String>,
) -> Result<(ReplyForm, Verdict), Problem> {
    let text = |name| text_of(&form.fields, name);
    let intent = FilesIntent::of(&form.fields);
    let removed = intent.and_then(FilesIntent::removed);
    let files = if refusal.is_none() {
        form.files
    } else {
        Vec::new()
    };
    let trouble = form
        .trouble
        .map(|trouble| (trouble.is_of_files(), trouble.in_words(words)));
    let (drafts, files_error) = drafts::keep(pool, now, text("draft"), removed, files).await?;
    let body = message_body(text("body"));
    let rule = body.as_ref().err().filter(|_| intent.is_none());
    let lost = |files: bool| {
        let lost = trouble
            .as_ref()
            .filter(|(is_of_files, _)| *is_of_files == files);
        lost.map(|(_, said)| said.clone())
    };
    let reply = ReplyForm {
        body: text("body").to_owned(),
        error: refusal
            .or_else(|| lost(false))
            .or_else(|| rule.map(|rule| rule.in_words(words))),
        is_note: text("visibility") == "note",
        drafts,
        files_error: files_error
            .map(|error| error.in_words(words))
            .or_else(|| lost(true)),
        ..ReplyForm::default()
    };
    let verdict = match body {
        _ if reply.error.is_some() || reply.files_error.is_some() => Verdict::Refused,
        Ok(body) if intent.is_none() => Verdict::Send(body),
        _ => Verdict::Again,
    };
    Ok((reply, verdict))
}

/// A text field; empty when there is none.
#[must_use]
pub fn text_of<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map(String::as_str).unwrap_or_default()
}
