//! A ticket as its reporter sees it, by the secret link.

use askama::Template;

use crate::http::page::Frame;
use crate::http::view::{MessageView, ReplyForm, When};
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
        /// What failed, if the trace shows it.
        failure: Option<FailureClass>,
    },
}
