//! A trace on a page of its own, the details of one of its spans, and the words for when there is none.

use askama::Template;

use super::span_view::SpanDetails;
use super::trace_view::TraceView;
use crate::http::page::Frame;
use crate::http::view::When;
use crate::tickets::status::TicketStatus;

/// `GET /desk/traces/{trace_id}`.
#[derive(Debug, Template)]
#[template(path = "desk/trace.html")]
pub struct TracePage {
    /// The frame.
    pub frame: Frame,
    /// The trace.
    pub view: TraceView,
    /// Tickets linked to it, newest first.
    pub tickets: Vec<LinkedTicket>,
}

/// A ticket in one line.
#[derive(Debug, Clone)]
pub struct LinkedTicket {
    /// `/desk/tickets/{id}`.
    pub href: String,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// Whose turn it is.
    pub status: TicketStatus,
    /// What the reporter was doing.
    pub action: String,
    /// When the report came.
    pub created: When,
}

/// `GET /desk/traces/{trace_id}/spans/{span_id}`: the same markup as the page's own details, for its script.
#[derive(Debug, Template)]
#[template(path = "components/span_details.html")]
pub struct SpanFragment {
    /// The span.
    pub details: SpanDetails,
}

/// Why a look-up shows no trace. Answered with 404.
#[derive(Debug, Template)]
#[template(path = "desk/no_trace.html")]
pub struct NoTracePage {
    /// The frame, with what was looked up in its search box.
    pub frame: Frame,
    /// Why.
    pub reason: NoTrace,
}

/// Why a look-up shows no trace.
#[derive(Debug, Clone)]
pub enum NoTrace {
    /// What was typed can't be read as a trace ID or a reference.
    Malformed {
        /// What was typed.
        typed: String,
    },
    /// Read, but nothing of it is stored: not arrived yet, never sent, or dropped after the retention.
    NotStored {
        /// How it was read.
        trace_id: String,
        /// Days that traces without a ticket are kept.
        retention_days: u32,
        /// Whether a ticket waits for it.
        is_awaited: bool,
    },
    /// Known from a ticket, but its spans are gone with the retention.
    Expired {
        /// How it was read.
        trace_id: String,
        /// Days that traces without a ticket are kept.
        retention_days: u32,
    },
    /// A reference that no ticket has.
    NoTicket {
        /// The reference.
        reference: String,
    },
}
