//! Failures over all tickets, as pages.

use askama::Template;

use crate::http::page::Frame;
use crate::http::view::When;
use crate::tickets::rating::RatedDay;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// `GET /desk/failures`: what failed lately, most tickets first.
#[derive(Debug, Template)]
#[template(path = "desk/failures.html")]
pub struct FailuresPage {
    /// The frame.
    pub frame: Frame,
    /// Over how many days.
    pub days: i64,
    /// The failures.
    pub rows: Vec<FailureRow>,
    /// Failures that advice solved before a report was sent, by class.
    pub solved: Vec<(FailureClass, i64)>,
    /// Answers of staff that reporters found helpful in that time.
    pub helpful: i32,
    /// Those that they did not.
    pub not_helpful: i32,
    /// Both by day, oldest first.
    pub rated: Vec<RatedDay>,
}

/// Tickets whose traces show the same failure.
#[derive(Debug, Clone)]
pub struct FailureRow {
    /// `/desk/failures/{fingerprint}`.
    pub href: String,
    /// What kind.
    pub class: FailureClass,
    /// The failing span's service.
    pub service: String,
    /// Its name.
    pub span: String,
    /// What it said.
    pub message: String,
    /// Tickets.
    pub ticket_count: i64,
    /// Those that are open or pending.
    pub open_count: i64,
    /// The first ticket.
    pub first: When,
    /// The latest ticket.
    pub last: When,
}

/// `GET /desk/failures/{fingerprint}`: every ticket of one failure.
#[derive(Debug, Template)]
#[template(path = "desk/failure.html")]
pub struct FailurePage {
    /// The frame.
    pub frame: Frame,
    /// What kind.
    pub class: FailureClass,
    /// The failing span's service.
    pub service: String,
    /// Its tickets, newest first.
    pub tickets: Vec<FailureTicket>,
}

/// A ticket in one line.
#[derive(Debug, Clone)]
pub struct FailureTicket {
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::http::page::{Section, testing};

    #[test]
    fn failures_and_what_advice_saved_are_shown() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let page = FailuresPage {
            frame: testing::desk_frame(Section::Failures),
            days: 30,
            rows: vec![FailureRow {
                href: "/desk/failures/7".to_owned(),
                class: FailureClass::ProviderError,
                service: "chat-api".to_owned(),
                span: "chat model-a".to_owned(),
                message: "529: overloaded".to_owned(),
                ticket_count: 12,
                open_count: 3,
                first: When::new(now, now),
                last: When::new(now, now),
            }],
            solved: vec![(FailureClass::RateLimited, 41)],
            helpful: 12,
            not_helpful: 3,
            rated: Vec::new(),
        };
        let html = testing::render("failures", &page);
        for words in [
            "529: overloaded",
            "12 tickets",
            "3 open",
            "/desk/failures/7",
            "41",
        ] {
            assert!(html.contains(words), "{words}");
        }
        let empty = FailuresPage {
            rows: Vec::new(),
            solved: Vec::new(),
            helpful: 12,
            not_helpful: 3,
            rated: Vec::new(),
            ..page
        };
        assert!(testing::render("failures-empty", &empty).contains("No failures"));
    }
}
