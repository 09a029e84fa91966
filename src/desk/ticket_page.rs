//! A ticket as staff see it, its trace beside it.

use askama::Template;

use super::trace_view::TraceView;
use crate::http::page::Frame;
use crate::http::view::{MessageView, ReplyForm, When};
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
    /// What they typed as a trace ID, as typed.
    pub typed_trace: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<MessageView>,
    /// What happened to the ticket, oldest first.
    pub history: Vec<HistoryEntry>,
    /// The reply box.
    pub reply: ReplyForm,
    /// The box that links a trace by hand.
    pub link_form: LinkForm,
    /// The trace.
    pub trace: TracePanel,
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

impl TicketPage {
    fn is_closed(&self) -> bool {
        matches!(self.status, TicketStatus::Solved | TicketStatus::Spam)
    }
}
