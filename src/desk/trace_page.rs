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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::super::sample_trace;
    use super::*;
    use crate::http::page::{Section, testing};
    use crate::traces::failure::Failure;
    use crate::traces::trace::Trace;
    use crate::traces::waterfall::Waterfall;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_602_900, 0).unwrap()
    }

    /// Renders the page of `trace` with all that its script asks for.
    fn render(name: &str, trace: &Trace, failure: Option<&Failure>) -> String {
        let html = testing::render(
            name,
            &TracePage {
                frame: testing::desk_frame(Section::Elsewhere),
                view: TraceView::new(trace, failure, now()),
                tickets: vec![LinkedTicket {
                    href: "/desk/tickets/1".to_owned(),
                    reference: "TD-7F3K2Q".to_owned(),
                    status: TicketStatus::Open,
                    action: "asking Focus to summarise a dataset of 12 docs".to_owned(),
                    created: When::new(now(), now()),
                }],
            },
        );
        let waterfall = Waterfall::build(trace, failure.map(|failure| failure.span_id));
        let json = serde_json::to_string(&waterfall.to_json(trace)).unwrap();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pages");
        std::fs::write(format!("{folder}/{}.json", trace.id), json).unwrap();
        html
    }

    #[test]
    fn every_span_is_in_the_page_and_the_failing_one_is_marked() {
        let trace = sample_trace::chat();
        let html = render("trace", &trace, Some(&sample_trace::chat_failure()));
        for span in &trace.spans {
            assert_eq!(html.matches(&format!(r#"id="s-{}""#, span.id)).count(), 1);
        }
        assert_eq!(html.matches("is-failing").count(), 1);
        assert!(html.contains("model_gateway.errors.ProviderOverloaded"));
        assert!(html.contains("failed 4.29 s after the start and took 2.06 s"));
    }

    #[test]
    fn a_large_trace_shows_what_matters_and_says_what_is_left_out() {
        let html = render("trace-large", &sample_trace::large(10_000), None);
        assert_eq!(html.matches("class=\"wf-item\"").count(), 500);
        assert!(html.contains("Shown are the 500 most relevant of 10,000 spans"));
    }

    #[test]
    fn a_trace_without_failure_says_so() {
        let mut trace = sample_trace::large(40);
        trace.id = crate::traces::ids::TraceId::from_hex("c0ffee").unwrap();
        assert!(
            render("trace-clean", &trace, None).contains("No span of this trace reports an error")
        );
    }

    #[test]
    fn a_span_of_its_own_is_the_same_markup() {
        let trace = sample_trace::chat();
        let waterfall = Waterfall::build(&trace, Some(sample_trace::chat_failure().span_id));
        let details = SpanDetails::new(&trace, &waterfall, waterfall.failing.unwrap());
        let fragment = SpanFragment { details }.render().unwrap();
        let page = render("trace", &trace, Some(&sample_trace::chat_failure()));
        assert!(page.contains(fragment.trim()));
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/target/pages/span.html"),
            fragment,
        )
        .unwrap();
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        let cases = [
            (
                "malformed",
                NoTrace::Malformed {
                    typed: "4bf92f35-oops-77b3".to_owned(),
                },
                "read as a trace ID",
            ),
            (
                "not-stored",
                NoTrace::NotStored {
                    trace_id: trace_id.clone(),
                    retention_days: 14,
                    is_awaited: true,
                },
                "A ticket waits for it",
            ),
            (
                "expired",
                NoTrace::Expired {
                    trace_id,
                    retention_days: 14,
                },
                "no longer kept",
            ),
            (
                "no-ticket",
                NoTrace::NoTicket {
                    reference: "TD-000000".to_owned(),
                },
                "No ticket has this reference",
            ),
        ];
        for (name, reason, words) in cases {
            let frame = testing::desk_frame(Section::Elsewhere).with_search("4bf9");
            assert!(
                testing::render(name, &NoTracePage { frame, reason }).contains(words),
                "{name}"
            );
        }
    }
}
