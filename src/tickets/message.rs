//! The text of a message, as people send it.

use crate::content::Words;

/// Most characters of a message: as many as a report's.
pub const MAX_MESSAGE_CHARS: usize = 10_000;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It says nothing.
    #[error("Write something first.")]
    Missing,
    /// It has so many characters.
    #[error("This has {0} characters; at most {MAX_MESSAGE_CHARS} are taken.")]
    TooLong(usize),
}

impl MessageError {
    /// In a sentence for the reporter.
    #[must_use]
    pub fn in_words(self, words: &Words) -> String {
        let errors = &words.errors;
        match self {
            Self::Missing => errors.message_missing.clone(),
            Self::TooLong(count) => errors
                .message_long
                .fill(&[("count", &count), ("most", &MAX_MESSAGE_CHARS)]),
        }
    }
}

/// Text that Postgres keeps and a page shows: line breaks are `\n`, other control characters are dropped.
#[must_use]
pub fn clean_text(text: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = unified
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    kept.trim().to_owned()
}

/// A message: something, and not more than a report may say.
///
/// # Errors
/// The rule that it breaks.
pub fn message_body(typed: &str) -> Result<String, MessageError> {
    let body = clean_text(typed);
    match body.chars().count() {
        0 => Err(MessageError::Missing),
        1..=MAX_MESSAGE_CHARS => Ok(body),
        count => Err(MessageError::TooLong(count)),
    }
}
