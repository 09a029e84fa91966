//! From a mail's content to the bytes that go over the wire (RFC 5322), and the cleaning of words that people and
//! servers chose before they go into a line of ours. Pure.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use thiserror::Error;

use crate::clock::new_id;

/// Longest subject, in characters. RFC 5322 section 2.1.1 allows 998 octets a line; the longest line comes of a subject
/// without spaces in ASCII, which is not folded: 200 and `Subject: ` are 209. Others are folded as encoded words.
pub const MAX_SUBJECT_CHARS: usize = 200;

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailContent {
    /// One line; [`build`] makes it one if it is not.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part, a whole document.
    pub html: String,
}

/// Why a message can't be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The recipient is no mail address; a retry does not help.
    #[error("the recipient is not a mail address ({0}); correct it in TRACEDESK_NOTIFY")]
    Recipient(#[from] AddressError),
    /// lettre refused the parts.
    #[error("the mail can't be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// A fresh `Message-ID` with its angle brackets; `domain` is the host name of the base URL or of the sender.
#[must_use]
pub fn new_message_id(domain: &str) -> String {
    let domain: String = domain
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .collect();
    let domain = if domain.is_empty() {
        "localhost"
    } else {
        &domain
    };
    format!("<{}@{domain}>", new_id())
}

/// Builds the message: text and HTML as alternatives, marked as sent by a program (RFC 3834 section 5; `Precedence` is
/// for responders older than that), so that no out-of-office reply comes back.
///
/// # Errors
/// When the recipient is no mail address.
pub fn build(
    content: &MailContent,
    from: &Mailbox,
    recipient: &str,
    message_id: &str,
    at: DateTime<Utc>,
) -> Result<Message, BuildError> {
    let message = Message::builder()
        .from(one_line_name(from))
        .to(one_line(recipient, MAX_SUBJECT_CHARS).parse()?)
        .subject(one_line(&content.subject, MAX_SUBJECT_CHARS))
        .message_id(Some(one_line(message_id, MAX_SUBJECT_CHARS)))
        .date(SystemTime::from(at))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Precedence"),
            "bulk".to_owned(),
        ))
        .multipart(MultiPart::alternative_plain_html(
            content.text.clone(),
            content.html.clone(),
        ))?;
    Ok(message)
}

/// lettre panics on a line break in a display name.
fn one_line_name(mailbox: &Mailbox) -> Mailbox {
    let name = mailbox
        .name
        .as_deref()
        .map(|name| one_line(name, MAX_SUBJECT_CHARS));
    Mailbox::new(name, mailbox.email.clone())
}

/// Makes one line of any text: white space and control characters become single spaces, characters that turn the
/// direction of text are dropped, and what is over `max_chars` is replaced by an ellipsis.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    let spaced: String = text
        .chars()
        .filter(|c| !is_direction_control(*c))
        .map(|c| if is_break(c) { ' ' } else { c })
        .take(READ_FACTOR * max_chars)
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    shorten(&words.join(" "), max_chars)
}

/// How many characters are read for one that is kept: text is hostile, and white space melts away.
const READ_FACTOR: usize = 4;

/// Cuts to `max_chars` characters, the last of them an ellipsis if something was cut.
#[must_use]
pub fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Keeps the lines of a text and drops the control characters, among them those that turn the direction of text.
#[must_use]
pub fn clean_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace(['\r', '\u{2028}', '\u{2029}'], "\n")
        .replace('\t', "    ")
        .chars()
        .filter(|c| *c == '\n' || !(c.is_control() || is_direction_control(*c)))
        .collect()
}

/// Ends a line or is a control character (Unicode line and paragraph separators are not `is_control`).
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Marks, embeddings, overrides and isolates of the Unicode bidirectional algorithm (UAX 9 section 2), and the byte
/// order mark. Text in right-to-left scripts needs none of them to read right; a forger does.
fn is_direction_control(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;
    use proptest::prelude::*;

    use super::*;

    fn content(subject: &str) -> MailContent {
        MailContent {
            subject: subject.to_owned(),
            text: "Grüße\n".to_owned(),
            html: "<p>Grüße</p>".to_owned(),
        }
    }

    fn built(subject: &str, from: &Mailbox, recipient: &str) -> Vec<u8> {
        let at = "2026-11-25T10:30:00Z".parse().unwrap();
        build(
            &content(subject),
            from,
            recipient,
            "<1@desk.example.com>",
            at,
        )
        .unwrap()
        .formatted()
    }

    fn sender() -> Mailbox {
        "tracedesk@localhost".parse().unwrap()
    }

    #[test]
    fn headers_are_ours_and_both_parts_are_there() {
        let bytes = built("Hello", &sender(), "Support <support@example.com>");
        let mail = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(mail.message_id(), Some("1@desk.example.com"));
        assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-11-25T10:30:00Z");
        assert_eq!(
            mail.header_raw("Auto-Submitted").unwrap().trim(),
            "auto-generated"
        );
        assert_eq!(mail.body_text(0).unwrap().trim_end(), "Grüße");
        assert_eq!(mail.body_html(0).unwrap().trim_end(), "<p>Grüße</p>");
    }

    #[test]
    fn no_header_can_be_forged() {
        let from = Mailbox::new(
            Some("Desk\r\nBcc: a@example.com".to_owned()),
            sender().email,
        );
        let bytes = built(
            "Hi\r\nBcc: b@example.com\n\n<body>",
            &from,
            "support@example.com",
        );
        let mail = MessageParser::default().parse(&bytes).unwrap();
        assert!(mail.bcc().is_none());
        assert_eq!(mail.subject(), Some("Hi Bcc: b@example.com <body>"));
    }

    #[test]
    fn a_recipient_that_is_none_is_told_apart() {
        let at = DateTime::UNIX_EPOCH;
        let result = build(&content("Hi"), &sender(), "nobody", "<1@localhost>", at);
        assert!(matches!(result, Err(BuildError::Recipient(_))));
    }

    #[test]
    fn lines_are_cut_on_character_boundaries() {
        assert_eq!(one_line(" a\tb\r\n\u{2028}c\u{202e} ", 10), "a b c");
        assert_eq!(one_line("ääää", 3), "ää…");
        assert_eq!(clean_lines("a\r\nb\rc\0\u{202e}"), "a\nb\nc");
    }

    #[test]
    fn message_ids_differ_and_hold_a_clean_domain() {
        let id = new_message_id("desk.example.com>\r\n");
        assert!(id.starts_with('<') && id.ends_with("@desk.example.com>"));
        assert_ne!(id, new_message_id("desk.example.com"));
        assert!(new_message_id("").ends_with("@localhost>"));
    }

    proptest! {
        #[test]
        fn any_subject_and_name_make_a_valid_mail(subject in ".*|[\r\na-z]*|a{900,1100}", name in "(?s:.*)") {
            let from = Mailbox::new(Some(name), sender().email);
            let bytes = built(&subject, &from, "support@example.com");
            prop_assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= 998));
            let mail = MessageParser::default().parse(&bytes).unwrap();
            prop_assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("tracedesk@localhost"));
            prop_assert_eq!(mail.to().unwrap().iter().count(), 1);
            prop_assert!(mail.body_html(0).is_some());
        }

        #[test]
        fn one_line_is_one_line(text in "(?s:.*)", max in 1usize..50) {
            let line = one_line(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.chars().any(is_break));
        }
    }
}
