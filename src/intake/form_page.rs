//! The public form as a page: the recovery flow, and the report for when it doesn't help.

use askama::Template;

use crate::http::page::Frame;

/// `GET /`, and the answer to a report that was refused or whose trace ID was to be checked.
#[derive(Debug, Default, Template)]
#[template(path = "intake/form.html")]
pub struct FormPage {
    /// The frame.
    pub frame: Frame,
    /// What was typed.
    pub values: FormValues,
    /// Each refused field with what is wrong and how to mend it. The fields are those of [`FormValues`]; any other
    /// name stands in the summary without a link.
    pub errors: Vec<(&'static str, String)>,
    /// How the trace ID was read.
    pub read_back: Option<String>,
}

/// The form's fields as they came, none of them valid yet. The field names are the form's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormValues {
    /// "What were you doing?"
    pub action: String,
    /// The page's URL.
    pub page_url: String,
    /// `now`, `hour`, `today` or `at`; empty counts as `now`.
    pub when: String,
    /// With `at`: `2026-11-25T10:31` or with seconds, local to the reporter.
    pub occurred_at: String,
    /// Minutes that the reporter's clock is ahead of UTC at that time (`60` in Paris in winter); empty without a
    /// script, which counts as UTC.
    pub utc_offset: String,
    /// `chat`, `upload`, `workflow`, `api` or `other`.
    pub kind: String,
    /// Anything that may hold a trace ID.
    pub trace_id: String,
    /// Where to answer.
    pub email: String,
}

/// One choice of a list.
struct Choice {
    value: &'static str,
    label: &'static str,
    is_chosen: bool,
}

impl FormPage {
    fn error(&self, field: &str) -> Option<&str> {
        self.errors
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, message)| message.as_str())
    }

    fn times(&self) -> [Choice; 4] {
        let chosen = if self.values.when.is_empty() {
            "now"
        } else {
            &self.values.when
        };
        [
            ("now", "Just now"),
            ("hour", "Within the hour"),
            ("today", "Earlier today"),
            ("at", "Pick a time"),
        ]
        .map(|(value, label)| Choice {
            value,
            label,
            is_chosen: value == chosen,
        })
    }

    fn kinds(&self) -> [Choice; 5] {
        [
            ("chat", "Chat"),
            ("upload", "Upload"),
            ("workflow", "Workflow"),
            ("api", "API"),
            ("other", "Something else"),
        ]
        .map(|(value, label)| Choice {
            value,
            label,
            is_chosen: value == self.values.kind,
        })
    }
}

/// The `id` of the control that an error links to.
fn anchor(field: &str) -> Option<&'static str> {
    Some(match field {
        "action" => "action",
        "page_url" => "page_url",
        "when" => "when-now",
        "occurred_at" | "utc_offset" => "occurred_at",
        "kind" => "kind-chat",
        "trace_id" => "trace_id",
        "email" => "email",
        _ => return None,
    })
}
