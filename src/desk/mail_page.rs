//! The outbox as a page.

use askama::Template;

use crate::http::page::Frame;
use crate::http::view::When;

/// `GET /desk/mail`: mails, newest first.
#[derive(Debug, Template)]
#[template(path = "desk/mail.html")]
pub struct MailPage {
    /// The frame.
    pub frame: Frame,
    /// One page of mails.
    pub rows: Vec<MailRow>,
    /// The cursor of the next page.
    pub older: Option<String>,
    /// Where mails go: `smtp.example.com:587`, or the folder that holds `.eml` files.
    pub transport: Transport,
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum Transport {
    /// A mail server, by host and port.
    Smtp(String),
    /// No server is set: files in this folder.
    Files(String),
}

/// One mail to one recipient.
#[derive(Debug, Clone)]
pub struct MailRow {
    /// Where "Send again" posts: `/desk/mail/{id}/resend`.
    pub resend_href: String,
    /// How far it got.
    pub state: MailState,
    /// The recipient's address.
    pub recipient: String,
    /// What it is, in words: `Notice to staff`.
    pub kind: String,
    /// The ticket: `/desk/tickets/{id}` and its reference.
    pub ticket_href: String,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// How often it was tried.
    pub attempts: i32,
    /// What the mail server said last.
    pub last_response: Option<String>,
    /// When it was written.
    pub created: When,
    /// When it is tried next, while queued.
    pub due: Option<When>,
}

/// How far a mail got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailState {
    /// Not sent yet.
    Queued,
    /// Taken by the mail server.
    Sent,
    /// Refused for good, or given up.
    Failed,
}

impl MailState {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl MailPage {
    fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.state == MailState::Failed)
    }
}
