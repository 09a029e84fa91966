//! The text of a message, as people send it.

/// Most characters of a message: as many as a report's.
pub const MAX_MESSAGE_CHARS: usize = 10_000;

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
/// The rule that it breaks, in a sentence.
pub fn message_body(typed: &str) -> Result<String, String> {
    let body = clean_text(typed);
    match body.chars().count() {
        0 => Err("Write something first.".to_owned()),
        1..=MAX_MESSAGE_CHARS => Ok(body),
        count => Err(format!(
            "This has {count} characters; at most {MAX_MESSAGE_CHARS} are taken."
        )),
    }
}
