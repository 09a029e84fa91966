//! The queue as a page.

use askama::Template;

use crate::http::page::Frame;
use crate::http::view::When;
use crate::links::state::LinkState;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// `GET /desk`: tickets, newest first.
#[derive(Debug, Template)]
#[template(path = "desk/queue.html")]
pub struct QueuePage {
    /// The frame.
    pub frame: Frame,
    /// The tickets of the chosen status; `None` shows all.
    pub filter: Option<TicketStatus>,
    /// One page of them.
    pub rows: Vec<QueueRow>,
    /// Whether this is the first page, the one that refreshes itself.
    pub is_first: bool,
    /// The cursor of the next page.
    pub older: Option<String>,
    /// Where the form is, absolute; shown while nothing has arrived.
    pub form_url: String,
    /// Where OTLP goes, the base without `/v1/traces`; shown while nothing has arrived.
    pub otlp_endpoint: String,
}

/// One ticket of the queue.
#[derive(Debug, Clone)]
pub struct QueueRow {
    /// `/desk/tickets/{id}`.
    pub href: String,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// Whose turn it is.
    pub status: TicketStatus,
    /// What the reporter was doing; cut to one line by the page.
    pub action: String,
    /// Host and path of the page.
    pub page: String,
    /// When it happened.
    pub occurred: When,
    /// When the report came.
    pub created: When,
    /// Whether its trace was found.
    pub link: LinkState,
    /// What failed, when linked to a trace that shows it.
    pub failure: Option<FailureTag>,
}

/// A failure in two words.
#[derive(Debug, Clone)]
pub struct FailureTag {
    /// What kind.
    pub class: FailureClass,
    /// The failing span's service.
    pub service: String,
}

/// A filter over the queue.
struct Tab {
    label: &'static str,
    href: &'static str,
    is_current: bool,
}

impl QueuePage {
    fn tabs(&self) -> [Tab; 5] {
        [
            ("Open", "/desk?status=open", Some(TicketStatus::Open)),
            (
                "Pending",
                "/desk?status=pending",
                Some(TicketStatus::Pending),
            ),
            ("Solved", "/desk?status=solved", Some(TicketStatus::Solved)),
            ("Spam", "/desk?status=spam", Some(TicketStatus::Spam)),
            ("All", "/desk?status=all", None),
        ]
        .map(|(label, href, status)| Tab {
            label,
            href,
            is_current: self.filter == status,
        })
    }

    fn filter_name(&self) -> &'static str {
        self.filter.map_or("all", TicketStatus::as_str)
    }
}
