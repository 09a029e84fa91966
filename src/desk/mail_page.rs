//! The outbox as a page.

use askama::Template;

use crate::http::page::Frame;
use crate::http::view::When;
use crate::outbox::store;

/// `GET /desk/mail`: mails, newest first.
#[derive(Debug, Template)]
#[template(path = "desk/mail.html")]
pub struct MailPage {
    /// The frame.
    pub frame: Frame,
    /// One page of mails.
    pub rows: Vec<MailRow>,
    /// Whether this is the first page, the one that refreshes itself.
    pub is_first: bool,
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
    /// Waits because its recipient had many within the hour.
    Held,
    /// Taken by the mail server.
    Sent,
    /// Refused for good, or given up.
    Failed,
}

impl MailState {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Held => "Held",
            Self::Sent => "Sent",
            Self::Failed => "Failed",
        }
    }
}

impl From<store::MailState> for MailState {
    fn from(state: store::MailState) -> Self {
        match state {
            store::MailState::Queued => Self::Queued,
            store::MailState::Sent => Self::Sent,
            store::MailState::Failed => Self::Failed,
        }
    }
}

impl MailPage {
    fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.state == MailState::Failed)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::http::page::{Section, testing};

    fn row(state: MailState, attempts: i32, last_response: Option<&str>) -> MailRow {
        let now = DateTime::from_timestamp(1_795_602_900, 0).unwrap();
        MailRow {
            resend_href: "/desk/mail/1/resend".to_owned(),
            state,
            recipient: "support@example.com".to_owned(),
            kind: "Notice to staff".to_owned(),
            ticket_href: "/desk/tickets/1".to_owned(),
            reference: "TD-7F3K2Q".to_owned(),
            attempts,
            last_response: last_response.map(str::to_owned),
            created: When::new(now - TimeDelta::minutes(7), now),
            due: (state == MailState::Queued).then(|| When::new(now + TimeDelta::minutes(4), now)),
        }
    }

    #[test]
    fn failed_mails_say_why_and_can_go_again() {
        let html = testing::render(
            "mail",
            &MailPage {
                frame: testing::desk_frame(Section::Mail),
                rows: vec![
                    row(MailState::Queued, 0, None),
                    row(
                        MailState::Queued,
                        2,
                        Some("451 4.7.1 Greylisting in action, please come back later"),
                    ),
                    row(
                        MailState::Sent,
                        1,
                        Some("250 2.0.0 Ok: queued as 4XyQ2v0Zk1z9"),
                    ),
                    row(
                        MailState::Failed,
                        1,
                        Some(
                            "550 5.1.1 <support@example.com>: Recipient address rejected: User unknown",
                        ),
                    ),
                ],
                is_first: true,
                older: None,
                transport: Transport::Smtp("smtp.example.com:587".to_owned()),
            },
        );
        assert_eq!(html.matches("/desk/mail/1/resend").count(), 1);
        assert!(html.contains("Greylisting") && html.contains("next"));
    }

    #[test]
    fn without_a_server_the_folder_is_named() {
        let page = MailPage {
            frame: testing::desk_frame(Section::Mail),
            rows: Vec::new(),
            is_first: true,
            older: None,
            transport: Transport::Files("./data/mail".to_owned()),
        };
        let html = testing::render("mail-empty", &page);
        assert!(html.contains("./data/mail") && html.contains("SMTP_URL"));
    }
}
