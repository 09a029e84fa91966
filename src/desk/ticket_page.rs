//! A ticket as staff see it, its trace beside it.

use askama::Template;

use super::candidates_view::CandidateView;
use super::mail_page::MailState;
use super::ticket_view::{DoneView, WorkView};
use super::trace_view::TraceView;
use crate::http::page::Frame;
use crate::http::view::When;
use crate::links::state::LinkState;
use crate::tickets::attachment_view::ScreenshotView;
use crate::tickets::message_view::{MessageView, ReplyForm};
use crate::tickets::spam::SpamSign;
use crate::tickets::status::TicketStatus;

/// `GET /desk/tickets/{id}`.
#[derive(Debug, Template)]
#[template(path = "desk/ticket.html")]
pub struct TicketPage {
    /// The frame.
    pub frame: Frame,
    /// `/desk/tickets/{id}`: the forms post below it.
    pub href: String,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// Whose turn it is.
    pub status: TicketStatus,
    /// What failed, as the reporter says: `chat`, `upload`, `workflow`, `api`, `other`.
    pub kind: String,
    /// Through which door the report came: `form` or `api`.
    pub source: String,
    /// Why tracedesk judged it spam; empty when it did not.
    pub spam_signs: Vec<SpamSign>,
    /// What they were doing, as written.
    pub action: String,
    /// The page where it happened; an http or https URL.
    pub page_url: String,
    /// When it happened, roughly.
    pub occurred: When,
    /// When the report came.
    pub created: When,
    /// Where to answer.
    pub email: Option<String>,
    /// In which language the reporter is answered, if that is not English.
    pub language: Option<String>,
    /// What they tried before, in words; empty for nothing.
    pub tried: String,
    /// What they typed as a trace ID, as typed.
    pub typed_trace: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<MessageView>,
    /// What became of the notices to staff, and every mail that failed.
    pub notices: Vec<NoticeView>,
    /// What happened to the ticket, oldest first.
    pub history: Vec<HistoryEntry>,
    /// The screenshots that came with the report.
    pub screenshots: Vec<ScreenshotView>,
    /// Who works on it.
    pub work: WorkView,
    /// What was done a moment ago and may be taken back.
    pub done: Option<DoneView>,
    /// Whether something was not done, because others did something that the reader had not seen.
    pub is_overtaken: bool,
    /// What that was, oldest first.
    pub overtaken: Vec<HistoryEntry>,
    /// The box under the conversation.
    pub reply: ReplyForm,
    /// The box that links a trace by hand.
    pub link_form: LinkForm,
    /// The trace.
    pub trace: TracePanel,
    /// Since when it works again for the same user, and where the trace is that shows it.
    pub recovered: Option<(When, String)>,
    /// Other open tickets of the same failure, and where they are.
    pub others: Option<(i64, String)>,
    /// Whether the trace was linked because it fits, and nobody said yet that it is the one.
    pub is_suggested: bool,
    /// While there is no trace: those that fit, best first.
    pub candidates: Vec<CandidateView>,
}

/// A mail about the ticket.
#[derive(Debug, Clone)]
pub struct NoticeView {
    /// `Notice` for what tells staff of the ticket, `Mail` for others.
    pub kind: &'static str,
    /// The address.
    pub recipient: String,
    /// How far it got.
    pub state: MailState,
    /// When it was sent or failed; while queued, when it is tried next.
    pub at: When,
}

/// One line of a ticket's history.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// What happened, in words: `Linked to its trace`.
    pub what: String,
    /// More about it, such as a recipient.
    pub detail: Option<String>,
    /// Who did it, when it was staff.
    pub who: Option<String>,
    /// When.
    pub at: When,
}

/// The box that links a trace by hand.
#[derive(Debug, Clone, Default)]
pub struct LinkForm {
    /// What was typed, kept when it was refused.
    pub typed: String,
    /// Why it was refused.
    pub error: Option<String>,
}

/// The trace beside a ticket, by the state of its link.
#[derive(Debug)]
pub enum TracePanel {
    /// No trace ID was given.
    None,
    /// Given; nothing is stored yet.
    Waiting {
        /// The ID being waited for.
        trace_id: String,
        /// When the wait is over.
        until: When,
    },
    /// Waited out.
    Missing {
        /// The ID that did not come.
        trace_id: String,
    },
    /// Here it is.
    Linked(Box<TraceView>),
}

impl TracePanel {
    fn state(&self) -> LinkState {
        match self {
            Self::None => LinkState::None,
            Self::Waiting { .. } => LinkState::Waiting,
            Self::Missing { .. } => LinkState::Missing,
            Self::Linked(_) => LinkState::Linked,
        }
    }
}

impl TicketPage {
    /// Whether the panel may change by itself soon, so that the page looks for it.
    fn may_change(&self) -> bool {
        self.trace.state() == LinkState::Waiting
    }

    fn is_closed(&self) -> bool {
        matches!(self.status, TicketStatus::Solved | TicketStatus::Spam)
    }

    fn is_spam(&self) -> bool {
        self.status == TicketStatus::Spam
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::super::sample_trace;
    use super::*;
    use crate::http::page::{Section, testing};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_602_900, 0).unwrap()
    }

    fn minutes_ago(minutes: i64) -> When {
        When::new(now() - TimeDelta::minutes(minutes), now())
    }

    fn page(trace: TracePanel) -> TicketPage {
        TicketPage {
            frame: testing::desk_frame(Section::Queue),
            href: "/desk/tickets/0193".to_owned(),
            reference: "TD-7F3K2Q".to_owned(),
            status: TicketStatus::Open,
            kind: "chat".to_owned(),
            source: "form".to_owned(),
            spam_signs: Vec::new(),
            action: "asking Focus to summarise a dataset of 12 docs.\nIt thinks for a while, then says that something went wrong.".to_owned(),
            page_url: "https://app.example.com/chat/8812?folder=reports".to_owned(),
            occurred: minutes_ago(4),
            created: minutes_ago(2),
            email: Some("lena@example.org".to_owned()),
            language: Some("Deutsch".to_owned()),
            tried: "retried, switched the model".to_owned(),
            typed_trace: Some("Trace ID: 4bf92f3577b34da6a3ce929d0e0e4736.".to_owned()),
            messages: vec![
                MessageView::sample(
                    "mira.okafor@example.com",
                    true,
                    "The model's provider was overloaded. Does it work with another model?",
                    minutes_ago(1),
                ),
                MessageView {
                    is_internal: true,
                    ..MessageView::sample("joe@example.com", true, "Third one today.", minutes_ago(1))
                },
                MessageView::sample("lena@example.org", false, "Yes, that works. Thanks!", minutes_ago(0)),
            ],
            notices: vec![NoticeView {
                kind: "Notice",
                recipient: "support@example.com".to_owned(),
                state: MailState::Sent,
                at: minutes_ago(2),
            }],
            history: ["Opened by the form", "Linked to its trace", "Notice sent"]
                .map(|what| HistoryEntry { what: what.to_owned(), detail: None, who: None, at: minutes_ago(2) })
                .into(),
            screenshots: Vec::new(),
            work: WorkView {
                assignee: Some("mira.okafor@example.com".to_owned()),
                is_mine: false,
                me: "2".to_owned(),
                colleagues: vec![
                    ("1".to_owned(), "mira.okafor@example.com".to_owned(), true),
                    ("2".to_owned(), "joe@example.com".to_owned(), false),
                ],
                revision: 4,
            },
            recovered: Some((minutes_ago(1), "/desk/traces/1".to_owned())),
            done: None,
            is_overtaken: false,
            overtaken: Vec::new(),
            reply: ReplyForm::default(),
            link_form: LinkForm::default(),
            trace,
            others: Some((3, "/desk/failures/7".to_owned())),
            is_suggested: false,
            candidates: Vec::new(),
        }
    }

    fn candidate() -> CandidateView {
        CandidateView {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            title: "POST /api/chat".to_owned(),
            service: "chat-api".to_owned(),
            failure: Some(crate::traces::failure::FailureClass::ProviderError),
            message: Some("overloaded".to_owned()),
            started: minutes_ago(3),
            reasons: "the same page, it failed: provider failed, 1 min before".to_owned(),
        }
    }

    #[test]
    fn traces_that_fit_are_offered_with_their_reasons() {
        let page = TicketPage {
            candidates: vec![candidate()],
            ..page(TracePanel::None)
        };
        let html = testing::render("ticket-candidates", &page);
        for words in [
            "Traces that fit",
            "the same page",
            "This is the one",
            "chat-api",
        ] {
            assert!(html.contains(words), "{words}");
        }
    }

    #[test]
    fn a_suggested_trace_is_asked_about() {
        let view = TraceView::new(&sample_trace::chat(), None, now());
        let page = TicketPage {
            is_suggested: true,
            ..page(TracePanel::Linked(Box::new(view)))
        };
        let html = testing::render("ticket-suggested", &page);
        assert!(html.contains("Is this the trace?") && html.contains("/link-rejection"));
    }

    #[test]
    fn the_trace_stands_beside_the_ticket() {
        let failure = sample_trace::chat_failure();
        let view = TraceView::new(&sample_trace::chat(), Some(&failure), now());
        let html = testing::render("ticket", &page(TracePanel::Linked(Box::new(view))));
        for words in [
            "Provider failed",
            "lena@example.org",
            "Link another trace",
            "/desk/tickets/0193/closure",
            "csrf-of-the-session",
        ] {
            assert!(html.contains(words), "{words}");
        }
    }

    #[test]
    fn each_state_of_the_link_is_explained() {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        let waiting = TracePanel::Waiting {
            trace_id: trace_id.clone(),
            until: minutes_ago(-1),
        };
        for (name, panel, words) in [
            ("ticket-waiting", waiting, "Waiting for the trace"),
            (
                "ticket-missing",
                TracePanel::Missing { trace_id },
                "The trace never came",
            ),
            ("ticket-none", TracePanel::None, "No trace ID was given"),
        ] {
            assert!(testing::render(name, &page(panel)).contains(words));
        }
    }

    #[test]
    fn spam_says_why_and_can_be_rejected_and_refused_forms_keep_what_was_typed() {
        let mut page = page(TracePanel::None);
        page.status = TicketStatus::Spam;
        page.link_form = LinkForm {
            typed: "xyz".to_owned(),
            error: Some("No trace ID is in there.".to_owned()),
        };
        page.reply = ReplyForm {
            body: " ".to_owned(),
            error: Some("Write an answer first.".to_owned()),
            ..ReplyForm::default()
        };
        page.spam_signs = vec![SpamSign::NoForm];
        let html = testing::render("ticket-spam", &page);
        assert!(html.contains("Not spam") && !html.contains("/closure"));
        assert!(html.contains("it was sent without opening the form"));
        assert!(html.contains(r#"value="xyz""#) && html.contains("Write an answer first."));
    }
}
