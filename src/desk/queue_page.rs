//! The queue as a page.

use askama::Template;

use crate::http::page::Frame;
use crate::http::view::When;
use crate::links::queue::{COUNTED_UP_TO, Counts, View};
use crate::links::state::LinkState;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// `GET /desk`: tickets, newest first.
#[derive(Debug, Template)]
#[template(path = "desk/queue.html")]
pub struct QueuePage {
    /// The frame.
    pub frame: Frame,
    /// Which tickets are shown.
    pub view: View,
    /// How many each view has.
    pub counts: Counts,
    /// One page of them.
    pub rows: Vec<QueueRow>,
    /// Whether this is the first page, the one that refreshes itself.
    pub is_first: bool,
    /// Whether there is any ticket, of whatever status: without one the page tells how to begin.
    pub has_any: bool,
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
    /// Why tracedesk judged it spam, in a line; empty when it did not.
    pub spam: String,
    /// What failed, when linked to a trace that shows it.
    pub failure: Option<FailureTag>,
    /// Whether a later try of the same user went through.
    pub is_recovered: bool,
    /// Who works on it: their address.
    pub assignee: Option<String>,
    /// Whether that is the reader.
    pub is_mine: bool,
}

/// A failure in two words.
#[derive(Debug, Clone)]
pub struct FailureTag {
    /// What kind.
    pub class: FailureClass,
    /// The failing span's service.
    pub service: String,
}

/// A view over the queue.
struct Tab {
    label: &'static str,
    href: String,
    is_current: bool,
    /// How many tickets it has; `1000+` where nobody counts on.
    count: Option<String>,
}

impl QueuePage {
    fn tabs(&self) -> [Tab; 7] {
        View::ALL.map(|view| Tab {
            label: match view {
                View::Open => "Open",
                View::Mine => "Mine",
                View::Unassigned => "Unassigned",
                View::Pending => "Pending",
                View::Solved => "Solved",
                View::Spam => "Spam",
                View::All => "All",
            },
            href: format!("/desk?view={}", view.as_str()),
            is_current: self.view == view,
            count: self.counts.of(view).map(|count| match count {
                COUNTED_UP_TO.. => format!("{COUNTED_UP_TO}+"),
                count => count.to_string(),
            }),
        })
    }

    /// What an empty page of a view says.
    fn empty_title(&self) -> String {
        let more = if self.is_first { "" } else { "more " };
        match self.view {
            View::Mine if self.is_first => "Nothing is assigned to you".to_owned(),
            View::Unassigned if self.is_first => "Every open ticket has somebody".to_owned(),
            View::Mine | View::All => format!("No {more}tickets"),
            view => format!("No {more}{} tickets", view.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::http::page::{Section, testing};

    fn page(rows: Vec<QueueRow>) -> QueuePage {
        QueuePage {
            frame: testing::desk_frame(Section::Queue),
            view: View::Open,
            counts: Counts {
                open: 9,
                mine: 2,
                unassigned: 1_000,
                ..Counts::default()
            },
            rows,
            is_first: true,
            has_any: true,
            older: Some("0193+a/b".to_owned()),
            form_url: "http://127.0.0.1:8080/".to_owned(),
            otlp_endpoint: "http://127.0.0.1:8080".to_owned(),
        }
    }

    fn row(
        number: i64,
        action: &str,
        page: &str,
        link: LinkState,
        failure: Option<(FailureClass, &str)>,
    ) -> QueueRow {
        let now = DateTime::from_timestamp(1_795_602_900, 0).unwrap();
        let created = now - TimeDelta::minutes(number * number * 7);
        QueueRow {
            href: format!("/desk/tickets/{number}"),
            reference: format!("TD-7F3K{number:02}"),
            status: [
                TicketStatus::Open,
                TicketStatus::Pending,
                TicketStatus::Solved,
                TicketStatus::Spam,
            ][usize::try_from(number).unwrap() % 4],
            action: action.to_owned(),
            page: page.to_owned(),
            occurred: When::new(created - TimeDelta::minutes(12), now),
            created: When::new(created, now),
            link,
            spam: String::new(),
            failure: failure.map(|(class, service)| FailureTag {
                class,
                service: service.to_owned(),
            }),
            is_recovered: number == 2,
            assignee: (number % 3 == 0).then(|| "mira.okafor@example.com".to_owned()),
            is_mine: number == 3,
        }
    }

    fn rows() -> Vec<QueueRow> {
        use FailureClass::{DocumentFailed, InternalError, PlanLimit, ProviderError, Timeout};
        vec![
            row(
                0,
                "asking Focus to summarise a dataset of 12 docs",
                "app.example.com/chat/8812",
                LinkState::Linked,
                Some((ProviderError, "model-gateway")),
            ),
            row(
                1,
                "uploading a 40-page PDF",
                "app.example.com/docs/7",
                LinkState::Waiting,
                None,
            ),
            row(
                2,
                "running the Blueprint workflow, it stops after the third step every time and the spinner never ends",
                "app.example.com/workflows/blueprint/runs/2210",
                LinkState::Linked,
                Some((InternalError, "workflow-runner")),
            ),
            row(
                3,
                "chat <b>doesn't</b> answer",
                "app.example.com/chat",
                LinkState::None,
                None,
            ),
            row(
                4,
                "opening a shared conversation",
                "app.example.com/s/9f2",
                LinkState::Missing,
                None,
            ),
            row(
                5,
                "document stays at \"processing\"",
                "app.example.com/docs",
                LinkState::Linked,
                Some((DocumentFailed, "document-pipeline")),
            ),
            row(
                6,
                "long answer was cut off after about a minute",
                "app.example.com/chat/771",
                LinkState::Linked,
                Some((Timeout, "chat-api")),
            ),
            row(
                7,
                "calling POST /v1/complete",
                "api.example.com/v1/complete",
                LinkState::Linked,
                Some((PlanLimit, "quota")),
            ),
            row(
                8,
                "renaming a folder",
                "app.example.com/docs/folders/31",
                LinkState::Linked,
                None,
            ),
        ]
    }

    #[test]
    fn each_row_opens_its_ticket() {
        let html = testing::render("queue", &page(rows()));
        assert!(html.contains(r#"<a class="q-open" href="/desk/tickets/0">"#));
        assert!(html.contains("chat &#60;b&#62;doesn"), "text is escaped");
        assert!(html.contains("/desk?view=open&amp;before=0193%2Ba%2Fb"));
        assert!(html.contains("data-refresh"));
    }

    #[test]
    fn an_empty_queue_says_how_to_fill_it() {
        let html = testing::render(
            "queue-empty",
            &QueuePage {
                older: None,
                has_any: false,
                ..page(Vec::new())
            },
        );
        assert!(html.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8080"));
        let done = QueuePage {
            older: None,
            ..page(Vec::new())
        };
        let html = testing::render("queue-done", &done);
        assert!(html.contains("Nothing is waiting for you") && !html.contains("OTEL_"));
        let later = QueuePage {
            is_first: false,
            ..page(Vec::new())
        };
        assert!(!testing::render("queue-end", &later).contains("data-refresh"));
    }
}
