//! A ticket as its reporter sees it, by the secret link.

use askama::Template;
use askama::filters::Safe;

use crate::content::Failed;
use crate::http::page::Frame;
use crate::http::view::{MessageView, ReplyForm, When};
use crate::tickets::attachment_view::ScreenshotView;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// `GET /t/{token}`.
#[derive(Debug, Template)]
#[template(path = "intake/ticket.html")]
pub struct PublicTicketPage {
    /// The frame.
    pub frame: Frame,
    /// `/t/{token}`: replies post below it.
    pub href: String,
    /// The same with scheme and host, to be kept.
    pub url: String,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// Whose turn it is.
    pub status: TicketStatus,
    /// What they were doing, as written.
    pub action: String,
    /// The page where it happened; an http or https URL.
    pub page_url: String,
    /// When it happened, roughly.
    pub occurred: When,
    /// When the report came.
    pub created: When,
    /// Where we answer.
    pub email: Option<String>,
    /// What support sees of the trace.
    pub link: PublicLink,
    /// The conversation, oldest first.
    pub messages: Vec<MessageView>,
    /// The screenshots that came with the report.
    pub screenshots: Vec<ScreenshotView>,
    /// The reply box.
    pub reply: ReplyForm,
    /// Whether the report was sent a moment ago.
    pub is_new: bool,
}

/// What a reporter is told about the trace. Names nothing internal.
#[derive(Debug, Clone)]
pub enum PublicLink {
    /// No trace ID was given.
    None,
    /// Given; nothing is stored yet.
    Waiting,
    /// Nothing came for the ID.
    Missing,
    /// Support sees it.
    Linked {
        /// When the traced action started.
        started: When,
        /// What failed and what helps, if the trace shows it.
        failure: Option<(FailureClass, String)>,
    },
}

impl PublicTicketPage {
    fn title(&self) -> String {
        let title = &self.frame.words.ticket.title;
        title.fill(&[("reference", &self.reference)])
    }

    /// The state in a few words, and in a sentence or two.
    fn state(&self) -> (&str, &str) {
        let words = &self.frame.words.ticket;
        match self.status {
            TicketStatus::Open => (&words.open, &words.open_text),
            TicketStatus::Pending => (&words.pending, &words.pending_text),
            TicketStatus::Solved => (&words.solved, &words.solved_text),
            TicketStatus::Spam => (&words.spam, &words.spam_text),
        }
    }

    fn linked(&self, started: &When) -> Safe<String> {
        let linked = &self.frame.words.ticket.linked;
        linked.markup(&[("clock", &started.clock_tag())])
    }

    fn answers_to(&self) -> String {
        let words = &self.frame.words.ticket;
        match &self.email {
            Some(email) => words.and_this_page.fill(&[("email", email)]),
            None => words.this_page.clone(),
        }
    }

    fn failed(&self, class: FailureClass) -> &Failed {
        self.frame.words.failures.of(class)
    }
}

impl PublicLink {
    fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Linked { .. } => "linked",
        }
    }

    /// Whether it may change by itself soon, so that the page looks for it.
    fn may_change(&self) -> bool {
        matches!(self, Self::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::http::page::testing;

    fn page(link: PublicLink, status: TicketStatus) -> PublicTicketPage {
        let now = DateTime::from_timestamp(1_795_602_900, 0).unwrap();
        let when = When::new(now, now);
        PublicTicketPage {
            frame: Frame::public(),
            href: "/t/secret".to_owned(),
            url: "https://desk.example.com/t/secret".to_owned(),
            reference: "TD-7F3K2Q".to_owned(),
            status,
            action: "asking Focus to summarise a dataset of 12 docs".to_owned(),
            page_url: "https://app.example.com/chat/8812".to_owned(),
            occurred: when.clone(),
            created: when.clone(),
            email: None,
            link,
            messages: vec![MessageView {
                author: "Support".to_owned(),
                is_staff: true,
                body: "The model's provider was overloaded.\nDoes it work with another model?"
                    .to_owned(),
                sent: when,
            }],
            screenshots: Vec::new(),
            reply: ReplyForm::default(),
            is_new: status == TicketStatus::Open,
        }
    }

    #[test]
    fn the_advice_fits_the_failure() {
        let now = DateTime::from_timestamp(1_795_602_664, 0).unwrap();
        let started = When::new(now, now);
        let link = PublicLink::Linked {
            started,
            failure: Some((
                FailureClass::ProviderError,
                "Switching the model usually fixes this.".to_owned(),
            )),
        };
        let html = testing::render("public-ticket", &page(link, TicketStatus::Pending));
        assert!(html.contains("Switching the model usually fixes this"));
        assert!(html.contains("10:31:04 UTC"));
        assert!(html.contains("/t/secret/replies"));
    }

    #[test]
    fn each_state_of_the_link_is_told() {
        for (link, words) in [
            (PublicLink::None, "No trace ID"),
            (PublicLink::Waiting, "Looking for what happened"),
            (PublicLink::Missing, "Nothing found for your trace ID"),
        ] {
            assert!(
                testing::render("public-ticket-new", &page(link, TicketStatus::Open))
                    .contains(words)
            );
        }
    }
}
