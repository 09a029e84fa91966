//! The public form as a page: the recovery flow, and the report for when it doesn't help.

use askama::Template;

use super::finding::Finding;
use super::helped::{HelpfulFragment, Voted};
use super::refusal::{Refused, shape_in_words};
use crate::content::Moves;
use crate::help::answer::HelpAnswer;
use crate::http::form::MAX_FILE_MIB;
use crate::http::page::{Frame, Switch};
use crate::links::trace_ref::Shape;
use crate::tickets::drafts::Drafts;
use crate::tickets::recovery::RecoveryStep;
use crate::tickets::screenshot::MAX_SCREENSHOTS;

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
    pub read_back: Option<ReadBack>,
    /// What can be said of the trace.
    pub finding: Option<Finding>,
    /// Whether the trace ID alone was looked at: the focus stays there.
    pub is_check: bool,
    /// Screenshots sent so far.
    pub drafts: Drafts,
    /// The vote on an answer that led here.
    pub voted: Option<Voted>,
}

/// How a trace ID was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBack {
    /// In which notation.
    pub shape: Shape,
    /// The ID, 32 hex digits; several where the text can be read in several ways.
    pub ids: Vec<String>,
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
    /// What did not help.
    pub tried: Vec<RecoveryStep>,
    /// When the form was opened, signed by us.
    pub seal: String,
    /// The publishable key of the page that frames the form; empty without a frame.
    pub embed_key: String,
    /// That page's origin.
    pub embed_origin: String,
}

/// One choice of a list.
struct Choice<'a> {
    value: &'static str,
    label: &'a str,
    is_chosen: bool,
}

impl FormPage {
    /// Whether it is shown in a frame on a page of the product.
    fn is_embedded(&self) -> bool {
        !self.values.embed_origin.is_empty()
    }

    /// Where it goes. A frame has no cookie to remember its reader's language by.
    fn post_to(&self) -> String {
        if self.is_embedded() {
            format!("/tickets?lang={}", self.frame.words.tag())
        } else {
            "/tickets".to_owned()
        }
    }

    /// The form with what was typed and what is wrong with it, in the language of the request at hand.
    #[must_use]
    pub fn new(values: FormValues, refused: &[Refused]) -> Self {
        let frame = Frame::public().with_switch(Switch::Form);
        let word = |error: &Refused| (error.field, error.refusal.in_words(&frame.words));
        Self {
            values,
            errors: refused.iter().map(word).collect(),
            frame,
            ..Self::default()
        }
    }

    fn screenshots_hint(&self) -> String {
        let hint = &self.frame.words.form.screenshots_hint;
        hint.fill(&[("count", &MAX_SCREENSHOTS), ("size", &MAX_FILE_MIB)])
    }

    fn read_as(&self, read: &ReadBack) -> String {
        let words = &self.frame.words;
        let shape = shape_in_words(read.shape, words);
        words.form.read_as.fill(&[("shape", &shape)])
    }

    /// What Enter in a field does: it sends, but after a vote, where it may be pressed in the line to that.
    fn first_intent(&self) -> String {
        match self.voted.filter(|voted| !voted.has_note) {
            Some(Voted { vote, .. }) => format!("note-{}-{}", vote.answer.as_str(), vote.word()),
            None => "send".to_owned(),
        }
    }

    fn has_tried(&self, step: RecoveryStep) -> bool {
        self.values.tried.contains(&step)
    }

    fn helpful(&self, answer: HelpAnswer) -> HelpfulFragment {
        HelpfulFragment::new(&self.frame, answer, self.voted)
    }

    /// Whether an answer is shown unfolded: its vote was just given.
    fn is_open(&self, answer: HelpAnswer) -> bool {
        self.voted.is_some_and(|voted| voted.vote.answer == answer)
    }

    /// What to do for each kind: the value of its choice, and the first two moves.
    fn moves(&self) -> [(&'static str, &Moves); 5] {
        let help = &self.frame.words.help;
        [
            ("chat", &help.chat),
            ("upload", &help.upload),
            ("workflow", &help.workflow),
            ("api", &help.api),
            ("other", &help.other),
        ]
    }

    fn summary(&self) -> String {
        let form = &self.frame.words.form;
        match self.errors.len() {
            1 => form.one_error.clone(),
            count => form.errors.fill(&[("count", &count)]),
        }
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, message)| message.as_str())
    }

    fn times(&self) -> [Choice<'_>; 4] {
        let chosen = if self.values.when.is_empty() {
            "now"
        } else {
            &self.values.when
        };
        let form = &self.frame.words.form;
        [
            ("now", &form.when_now),
            ("hour", &form.when_hour),
            ("today", &form.when_today),
            ("at", &form.when_at),
        ]
        .map(|(value, label)| Choice {
            value,
            label,
            is_chosen: value == chosen,
        })
    }

    fn kinds(&self) -> [Choice<'_>; 5] {
        let kinds = &self.frame.words.kinds;
        [
            ("chat", &kinds.chat),
            ("upload", &kinds.upload),
            ("workflow", &kinds.workflow),
            ("api", &kinds.api),
            ("other", &kinds.other),
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
        "screenshots" => "screenshots",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::testing;

    #[test]
    fn a_fresh_form_is_set_to_just_now() {
        let html = testing::render("form", &FormPage::default());
        assert!(html.contains(r#"id="when-now" value="now" checked"#));
        assert!(!html.contains("aria-invalid"));
    }

    #[test]
    fn a_refused_report_keeps_every_value_and_links_each_error() {
        let values = FormValues {
            action: "ab".to_owned(),
            page_url: "app/\"docs\"".to_owned(),
            when: "at".to_owned(),
            occurred_at: "2027-01-01T10:00".to_owned(),
            utc_offset: "60".to_owned(),
            kind: "upload".to_owned(),
            trace_id: "trace_id=4BF92F3577B34DA6A3CE929D0E0E4736".to_owned(),
            email: "lena@".to_owned(),
            tried: vec![RecoveryStep::Switch],
            seal: "AAAA".to_owned(),
            ..FormValues::default()
        };
        let page = FormPage {
            frame: Frame::public(),
            errors: vec![
                (
                    "action",
                    "Say in a few words what you were doing: at least 3 characters.".to_owned(),
                ),
                (
                    "page_url",
                    "Give the whole address, starting with https://.".to_owned(),
                ),
                (
                    "occurred_at",
                    "This time is in the future. Check the date.".to_owned(),
                ),
                ("email", "This is not a complete address.".to_owned()),
                ("attachments", "One file is not a picture.".to_owned()),
            ],
            read_back: Some(ReadBack {
                shape: Shape::Hex,
                ids: vec!["4bf92f3577b34da6a3ce929d0e0e4736".to_owned()],
            }),
            values,
            ..FormPage::default()
        };
        let html = testing::render("form-errors", &page);
        for (field, message) in &page.errors {
            let message = message.replace('\'', "&#39;");
            let expected = if anchor(field).is_some() { 2 } else { 1 };
            assert_eq!(html.matches(&message).count(), expected, "{field}");
        }
        for value in [
            "2027-01-01T10:00",
            "value=\"60\"",
            "value=\"AAAA\"",
            "lena@",
            ">ab</textarea>",
            "app/&#34;docs&#34;",
        ] {
            assert!(html.contains(value), "{value}");
        }
        for (field, _) in &page.errors {
            if let Some(anchor) = anchor(field) {
                assert!(html.contains(&format!(r#"id="{anchor}""#)), "{anchor}");
            }
        }
        assert!(html.contains(
            "We read this as a trace ID: <code>4bf92f3577b34da6a3ce929d0e0e4736</code>."
        ));
    }
}
