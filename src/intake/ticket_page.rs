//! A ticket as its reporter sees it, by the secret link.

use askama::Template;
use askama::filters::Safe;
use chrono::{DateTime, Utc};

use crate::content::{Failed, Words};
use crate::http::page::Frame;
use crate::http::view::When;
use crate::links::state::LinkState;
use crate::links::store::Link;
use crate::tickets::attachment::AttachmentInfo;
use crate::tickets::attachment_view::ScreenshotView;
use crate::tickets::conversation::{Message, MessageAuthor};
use crate::tickets::message_view::{MessageView, RatingView, ReplyForm};
use crate::tickets::rating::MAX_LINE_CHARS;
use crate::tickets::screenshot::MAX_SCREENSHOTS;
use crate::tickets::status::TicketStatus;
use crate::tickets::store::Ticket;
use crate::traces::failure::FailureClass;

/// `GET /t/{token}`.
#[derive(Debug, Template)]
#[template(path = "intake/ticket.html")]
pub struct PublicTicketPage {
    /// The frame.
    pub frame: Frame,
    /// `/t/{token}`: the forms post below it.
    pub href: String,
    /// The same with scheme and host, to be kept.
    pub url: String,
    /// What a script brings to ask whether there is news; empty on an answer to a form.
    pub tag: String,
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
    /// Since when it seems to work again.
    pub recovered: Option<When>,
    /// The conversation, oldest first.
    pub messages: Vec<MessageView>,
    /// The screenshots that came with the report.
    pub screenshots: Vec<ScreenshotView>,
    /// "Was this helpful?", when the last word is support's.
    pub rate: Option<RateForm>,
    /// The reply box.
    pub reply: ReplyForm,
    /// Whether the report was sent a moment ago.
    pub is_new: bool,
    /// Whether an answer was rated a moment ago.
    pub is_rated: bool,
}

/// "Was this helpful?"
#[derive(Debug, Clone)]
pub struct RateForm {
    /// The answer it is about.
    pub message_id: String,
    /// What was said before.
    pub given: Option<RatingView>,
    /// The line, kept when it was refused.
    pub line: String,
    /// Why it was refused.
    pub error: Option<String>,
}

/// All rows that a reporter's page shows.
#[derive(Debug)]
pub struct TicketRows {
    /// The ticket.
    pub ticket: Ticket,
    /// Its link.
    pub link: Link,
    /// What failed in the linked trace, and what helps.
    pub failure: Option<(FailureClass, String)>,
    /// When the linked trace started.
    pub started_at: Option<DateTime<Utc>>,
    /// Its conversation, without the notes among staff.
    pub messages: Vec<Message>,
    /// Its screenshots.
    pub screenshots: Vec<AttachmentInfo>,
}

impl PublicTicketPage {
    /// The page of a ticket, at `href`, as it is `now`.
    #[must_use]
    pub fn new(
        href: String,
        url: String,
        rows: TicketRows,
        words: Words,
        now: DateTime<Utc>,
    ) -> Self {
        let when = |at| When::for_reader(at, now, &words);
        let TicketRows { ticket, link, .. } = rows;
        let shots = format!("{href}/screenshots");
        let message_view = |message: Message| {
            let is_staff = message.author == MessageAuthor::Staff;
            let (support, you) = (&words.ticket.support, &words.ticket.you);
            let author = if is_staff { support } else { you }.clone();
            let sent = when(message.created_at);
            MessageView::new(message, author, sent, &shots, &rows.screenshots)
        };
        let messages: Vec<_> = rows.messages.into_iter().map(message_view).collect();
        let started_at = rows.started_at.unwrap_or(ticket.occurred_at);
        Self {
            rate: messages.last().and_then(RateForm::of),
            screenshots: ScreenshotView::of(&shots, &rows.screenshots, None),
            href,
            url,
            tag: String::new(),
            status: ticket.status_for_reporter(),
            reference: ticket.reference,
            action: ticket.action,
            page_url: ticket.page_url,
            occurred: when(ticket.occurred_at),
            created: when(ticket.created_at),
            email: ticket.email,
            link: match link.state {
                LinkState::None => PublicLink::None,
                LinkState::Waiting => PublicLink::Waiting,
                LinkState::Missing => PublicLink::Missing,
                LinkState::Linked => PublicLink::Linked {
                    started: when(started_at),
                    failure: rows.failure,
                },
            },
            recovered: link.recovered_at.map(when),
            messages,
            reply: ReplyForm::default(),
            is_new: false,
            is_rated: false,
            frame: Frame::in_words(words),
        }
    }

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

    fn recovered_since(&self, since: &When) -> Safe<String> {
        let text = &self.frame.words.ticket.recovered_text;
        text.markup(&[("clock", &since.clock_tag())])
    }

    fn answers_to(&self) -> String {
        let words = &self.frame.words.ticket;
        match &self.email {
            Some(email) => words.and_this_page.fill(&[("email", email)]),
            None => words.this_page.clone(),
        }
    }

    fn screenshots_hint(&self) -> String {
        let hint = &self.frame.words.ticket.screenshots_hint;
        hint.fill(&[("count", &MAX_SCREENSHOTS)])
    }

    fn failed(&self, class: FailureClass) -> &Failed {
        self.frame.words.failures.of(class)
    }

    fn is_closed(&self) -> bool {
        matches!(self.status, TicketStatus::Solved | TicketStatus::Spam)
    }

    fn max_line_chars() -> usize {
        MAX_LINE_CHARS
    }
}

impl RateForm {
    /// Whether this was said before.
    fn says(&self, is_helpful: bool) -> bool {
        self.given
            .as_ref()
            .is_some_and(|given| given.is_helpful == is_helpful)
    }

    /// For the last message, if it is support's.
    fn of(last: &MessageView) -> Option<Self> {
        last.is_staff.then(|| Self {
            message_id: last.id.clone(),
            given: last.rating.clone(),
            line: last
                .rating
                .as_ref()
                .and_then(|rating| rating.line.clone())
                .unwrap_or_default(),
            error: None,
        })
    }
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

impl PublicLink {
    fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Linked { .. } => "linked",
        }
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
            recovered: None,
            tag: String::new(),
            rate: None,
            is_rated: false,
            messages: vec![MessageView::sample(
                "Support",
                true,
                "The model's provider was overloaded.\nDoes it work with another model?",
                when,
            )],
            screenshots: Vec::new(),
            reply: ReplyForm::default(),
            is_new: status == TicketStatus::Open,
        }
    }

    #[test]
    fn the_advice_fits_the_failure() {
        let now = DateTime::from_timestamp(1_795_602_664, 0).unwrap();
        let started = When::new(now, now);
        let advice = "Switching the model usually fixes this.".to_owned();
        let link = PublicLink::Linked {
            started,
            failure: Some((FailureClass::ProviderError, advice)),
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
