//! The mail that tells staff of a new ticket and, if its trace is there, what broke in it. Pure: the caller reads ticket,
//! link and trace, and calls this when the mail is about to be sent.

mod waterfall;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use self::waterfall::{Row, rows, started_ns};
use super::state::LinkState;
use crate::outbox::message::{MailContent, clean_lines, one_line, shorten};
use crate::tickets::recovery::RecoveryStep;
use crate::traces::duration_text::format_duration;
use crate::traces::failure::{Failure, FailureClass, MAX_MESSAGE_CHARS};
use crate::traces::ids::TraceId;
use crate::traces::trace::Trace;

/// How much of the action stands in the subject, in characters: little enough for the failure after it to be seen in a
/// list of mails. With the reference (12), the longest class (16), a service (40) and the words between (6) a subject
/// is at most 134, under [`crate::outbox::message::MAX_SUBJECT_CHARS`].
const MAX_SUBJECT_ACTION_CHARS: usize = 60;

/// Longest name of a service or span in a line of text, in characters.
const MAX_NAME_CHARS: usize = 80;

/// Longest name of a service in the subject, in characters.
const MAX_SUBJECT_SERVICE_CHARS: usize = 40;

/// How much of the action stands in the mail, in characters: all that a report may have.
const MAX_ACTION_CHARS: usize = 10_000;

/// Longest page URL, in characters: all that a report may have.
const MAX_URL_CHARS: usize = 2_048;

/// Width of the text part's lines, in characters, with the `> ` before quoted ones within the 78 that RFC 5322 section
/// 2.1.1 asks for.
const LINE_CHARS: usize = 76;

/// A ticket as its first mail shows it.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// The ticket's public name, `TD-7F3K2Q`.
    pub reference: &'a str,
    /// What the reporter was doing, in their words.
    pub action: &'a str,
    /// Where it happened.
    pub page_url: &'a str,
    /// Roughly when.
    pub occurred_at: DateTime<Utc>,
    /// When the report came.
    pub created_at: DateTime<Utc>,
    /// What failed as the reporter says, in a word for people: `Chat`, `Upload`.
    pub kind: &'a str,
    /// What they tried before and did not help.
    pub tried: &'a [RecoveryStep],
    /// Where to answer, if given.
    pub email: Option<&'a str>,
    /// Whether the trace is there.
    pub link: LinkState,
    /// The trace that was linked, or is waited for.
    pub trace_id: Option<TraceId>,
    /// What went wrong in it.
    pub failure: Option<&'a Failure>,
    /// The trace itself, if it is stored.
    pub trace: Option<&'a Trace>,
    /// The ticket's page at the desk, under the base URL.
    pub desk_url: &'a str,
}

impl Notice<'_> {
    /// Renders subject, text and HTML.
    ///
    /// # Errors
    /// When a template fails, which none does on valid input.
    pub fn render(&self) -> Result<MailContent, askama::Error> {
        let view = View::new(self);
        Ok(MailContent {
            subject: Subject { view: &view }.render()?,
            text: Text { view: &view }.render()?,
            html: Html { view: &view }.render()?,
        })
    }
}

#[derive(Template)]
#[template(path = "mail/staff_notice/subject.txt")]
struct Subject<'a> {
    view: &'a View,
}

#[derive(Template)]
#[template(path = "mail/staff_notice/body.txt")]
struct Text<'a> {
    view: &'a View,
}

#[derive(Template)]
#[template(path = "mail/staff_notice/body.html")]
struct Html<'a> {
    view: &'a View,
}

/// What the templates print: every value cleaned and bounded.
struct View {
    reference: String,
    short_action: String,
    outcome: String,
    headline: String,
    action: String,
    page_url: String,
    occurred: String,
    kind: String,
    tried: String,
    email: Option<String>,
    trace_id: Option<TraceId>,
    failure: Option<FailureView>,
    rows: Vec<Row>,
    /// Spans of the whole trace.
    span_count: usize,
    desk_url: String,
}

struct FailureView {
    class: FailureClass,
    advice: String,
    service: String,
    span: String,
    message: String,
    took: String,
    /// How long after the start of the trace; unknown if the trace could not be read.
    began: Option<String>,
}

impl View {
    fn new(notice: &Notice<'_>) -> Self {
        let failing = notice.failure.map(|failure| failure.span_id);
        Self {
            reference: one_line(notice.reference, MAX_NAME_CHARS),
            short_action: one_line(notice.action, MAX_SUBJECT_ACTION_CHARS),
            outcome: outcome(notice),
            headline: headline(notice),
            action: shorten(clean_lines(notice.action).trim(), MAX_ACTION_CHARS),
            page_url: one_line(notice.page_url, MAX_URL_CHARS),
            occurred: occurred(notice.occurred_at, notice.created_at),
            kind: one_line(notice.kind, MAX_NAME_CHARS),
            tried: RecoveryStep::list(notice.tried),
            email: notice.email.map(|email| one_line(email, MAX_URL_CHARS)),
            trace_id: notice.trace_id,
            failure: notice
                .failure
                .map(|failure| FailureView::new(failure, notice.trace)),
            rows: notice
                .trace
                .map_or_else(Vec::new, |trace| rows(trace, failing)),
            span_count: notice.trace.map_or(0, |trace| trace.spans.len()),
            desk_url: one_line(notice.desk_url, MAX_URL_CHARS),
        }
    }

    /// The reporter's words as quoted lines, so that nothing in them can pass for ours.
    fn quoted_action(&self) -> String {
        let lines = wrap(&self.action, LINE_CHARS);
        let quoted: Vec<String> = lines.iter().map(|line| format!("> {line}")).collect();
        quoted.join("\n")
    }

    fn email_or_none(&self) -> &str {
        self.email.as_deref().unwrap_or("not given")
    }

    fn wrapped_headline(&self) -> String {
        wrap(&self.headline, LINE_CHARS).join("\n")
    }
}

impl FailureView {
    fn new(failure: &Failure, trace: Option<&Trace>) -> Self {
        let began = trace.map(|trace| failure.started_ns.saturating_sub(started_ns(trace)));
        Self {
            class: failure.class,
            advice: failure.advice.clone(),
            service: one_line(&failure.service, MAX_NAME_CHARS),
            span: one_line(&failure.span_name, MAX_NAME_CHARS),
            message: one_line(&failure.message, MAX_MESSAGE_CHARS),
            took: format_duration(failure.duration_ns),
            began: began.map(|ns| format!("{} after the start of the trace", format_duration(ns))),
        }
    }

    /// For people, and as the API and mail rules name it.
    fn class_in_words(&self) -> String {
        format!("{} ({})", self.class.label(), self.class.as_str())
    }

    /// The message under its label, further lines indented to it.
    fn wrapped_message(&self) -> String {
        wrap(&self.message, LINE_CHARS - "Message:  ".len()).join("\n          ")
    }

    fn wrapped_advice(&self) -> String {
        wrap(&self.advice, LINE_CHARS).join("\n")
    }
}

/// The failure for the subject, where mail rules can look for its class.
fn outcome(notice: &Notice<'_>) -> String {
    match (notice.failure, notice.link) {
        (Some(failure), _) => format!(
            "{} in {}",
            failure.class.as_str(),
            one_line(&failure.service, MAX_SUBJECT_SERVICE_CHARS)
        ),
        (None, LinkState::Linked) => "no failure in the trace".to_owned(),
        (None, LinkState::Waiting | LinkState::Missing) => "no trace yet".to_owned(),
        (None, LinkState::None) => "no trace ID given".to_owned(),
    }
}

/// What happened, for people who are not engineers.
fn headline(notice: &Notice<'_>) -> String {
    match (notice.failure, notice.link) {
        (Some(failure), _) => format!(
            "{}, at the step \"{}\" of the service {}.",
            failure.class.label(),
            one_line(&failure.span_name, MAX_NAME_CHARS),
            one_line(&failure.service, MAX_NAME_CHARS)
        ),
        (None, LinkState::Linked) => {
            "Something went wrong for someone, but its trace shows no failure.".to_owned()
        }
        (None, LinkState::Waiting) => {
            "Something went wrong for someone. Its trace has not arrived yet; the ticket shows it as soon as it does."
                .to_owned()
        }
        (None, LinkState::Missing) => {
            "Something went wrong for someone. No trace with the given ID has arrived; it may be mistyped, or its \
             service may not send traces here."
                .to_owned()
        }
        (None, LinkState::None) => {
            "Something went wrong for someone, who gave no trace ID.".to_owned()
        }
    }
}

/// Both times to the minute, since the reporter gave it roughly.
fn occurred(at: DateTime<Utc>, reported_at: DateTime<Utc>) -> String {
    format!(
        "{} UTC, {}",
        at.format("%Y-%m-%d %H:%M"),
        relative(reported_at - at)
    )
}

/// `before` the report, in its largest unit.
fn relative(before: TimeDelta) -> String {
    let minutes = before.num_minutes();
    let side = if minutes < 0 { "after" } else { "before" };
    let (count, unit) = match minutes.unsigned_abs() {
        0 => return "just before the report".to_owned(),
        minutes @ 1..60 => (minutes, "minute"),
        minutes @ 60..1_440 => (minutes / 60, "hour"),
        minutes => (minutes / 1_440, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} {side} the report")
}

/// Breaks lines between words; words longer than a line (URLs) stay whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    text.lines()
        .flat_map(|line| wrap_line(line, width))
        .collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in line.split(' ') {
        let chars = word.chars().count();
        if used > 0 && used + 1 + chars > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(current) = lines.last_mut() {
            if used > 0 {
                current.push(' ');
                used += 1;
            }
            current.push_str(word);
            used += chars;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::failure::FailureClass;
    use crate::traces::ids::SpanId;
    use crate::traces::trace::{Resource, Span, SpanKind, SpanStatus};

    const MS: u64 = 1_000_000;
    const START_NS: u64 = 1_795_602_600_000 * MS;

    fn span(id: u64, parent: u64, resource: usize, name: &str, from_ms: u64, ms: u64) -> Span {
        Span {
            id: SpanId::from_bytes(&id.to_be_bytes()).unwrap(),
            parent_id: SpanId::from_bytes(&parent.to_be_bytes()),
            resource,
            scope: String::new(),
            name: name.to_owned(),
            kind: SpanKind::Internal,
            start_ns: START_NS + from_ms * MS,
            end_ns: START_NS + (from_ms + ms) * MS,
            status: SpanStatus::Unset,
            status_message: String::new(),
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    fn failed(mut span: Span) -> Span {
        span.status = SpanStatus::Error;
        span
    }

    fn trace(spans: Vec<Span>) -> Trace {
        let services = ["chat-api", "llm-gateway", "postgres"];
        Trace {
            id: TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
            resources: services.map(resource).to_vec(),
            spans,
            duplicate_count: 0,
            is_truncated: false,
        }
    }

    fn resource(service: &str) -> Resource {
        Resource {
            service: service.to_owned(),
            attributes: Vec::new(),
        }
    }

    fn chat_trace() -> Trace {
        let mut spans = vec![
            failed(span(1, 0, 0, "POST /chat", 0, 2_310)),
            span(2, 1, 0, "load conversation", 4, 38),
            span(3, 2, 2, "SELECT messages", 9, 30),
            failed(span(4, 1, 0, "answer", 45, 2_260)),
            span(5, 4, 0, "retrieve documents", 46, 210),
            failed(span(6, 4, 1, "chat gpt-4o", 260, 2_044)),
            failed(span(7, 6, 1, "POST attempt 1", 261, 1_000)),
            failed(span(8, 6, 1, "POST attempt 2", 1_300, 1_003)),
        ];
        spans.extend((9..60).map(|i| span(i, 5, 2, "SELECT chunk", 46 + i, i % 7)));
        trace(spans)
    }

    fn chat_failure() -> Failure {
        Failure {
            class: FailureClass::ProviderError,
            span_id: SpanId::from_hex("6").unwrap(),
            service: "llm-gateway".to_owned(),
            span_name: "chat gpt-4o".to_owned(),
            message:
                "529 overloaded_error: the model is overloaded, please try again in a few minutes"
                    .to_owned(),
            fingerprint: 1,
            started_ns: START_NS + 260 * MS,
            duration_ns: 2_044 * MS,
            rule: None,
            advice: FailureClass::ProviderError.advice().to_owned(),
        }
    }

    fn notice() -> Notice<'static> {
        let occurred_at = "2026-11-25T10:30:00Z".parse().unwrap();
        Notice {
            reference: "TD-7F3K2Q",
            action: "uploading a 40-page PDF\n\nI tried it twice, and then once more after switching the model, and each time it stopped at about the same place.",
            page_url: "https://app.example.com/docs/7",
            occurred_at,
            created_at: occurred_at + TimeDelta::minutes(4),
            kind: "Upload",
            tried: &[],
            email: Some("reporter@example.com"),
            link: LinkState::None,
            trace_id: None,
            failure: None,
            trace: None,
            desk_url: "https://desk.example.com/desk/tickets/0193",
        }
    }

    fn snapshot(name: &str, content: &MailContent) {
        let MailContent {
            subject,
            text,
            html,
        } = content;
        insta::assert_snapshot!(
            format!("{name}.txt"),
            format!("Subject: {subject}\n\n{text}")
        );
        insta::assert_snapshot!(format!("{name}.html"), html);
    }

    #[test]
    fn a_linked_trace_shows_what_failed() {
        let (trace, failure) = (chat_trace(), chat_failure());
        let notice = Notice {
            link: LinkState::Linked,
            trace_id: Some(trace.id),
            failure: Some(&failure),
            trace: Some(&trace),
            ..notice()
        };
        snapshot("linked", &notice.render().unwrap());
    }

    #[test]
    fn a_trace_on_its_way_is_named() {
        let notice = Notice {
            link: LinkState::Waiting,
            trace_id: TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736"),
            email: None,
            ..notice()
        };
        snapshot("waiting", &notice.render().unwrap());
    }

    #[test]
    fn a_report_without_an_id_says_so() {
        snapshot("no_id", &notice().render().unwrap());
    }

    #[test]
    fn what_was_tried_is_told() {
        let tried = [RecoveryStep::Retry, RecoveryStep::Switch];
        let notice = Notice {
            tried: &tried,
            ..notice()
        };
        let mail = notice.render().unwrap();
        assert!(
            mail.text
                .contains("Tried:    retried, switched the model\n")
        );
        assert!(mail.html.contains("retried, switched the model"));
    }

    #[test]
    fn hostile_words_stay_words() {
        let trace = trace(vec![
            failed(span(
                1,
                2,
                9,
                "<script>alert(1)</script>\r\n.\r\nQUIT",
                0,
                1,
            )),
            span(2, 1, 0, "\u{202e}a circle", 0, 0),
        ]);
        let failure = Failure {
            span_id: SpanId::from_hex("1").unwrap(),
            service: "<img src=x>\r\nBcc: a@example.com".to_owned(),
            span_name: "\u{202e}evil\u{2028}WHAT FAILED".to_owned(),
            message: "</pre><script>alert(1)</script>\0\nWHAT FAILED\n\nnothing".to_owned(),
            duration_ns: u64::MAX,
            ..chat_failure()
        };
        let notice = Notice {
            action: "a\r\nBcc: everyone@example.com\r\n\r\n\u{202e}<b>bold</b>\n\nWHAT FAILED\nOpen the ticket: https://evil.example",
            page_url: "https://app.example.com/?q=\"><script>alert(1)</script>",
            email: Some("\"<i>\"@example.com"),
            link: LinkState::Linked,
            trace_id: Some(trace.id),
            failure: Some(&failure),
            trace: Some(&trace),
            ..notice()
        };
        snapshot("hostile", &notice.render().unwrap());
    }

    #[test]
    fn a_long_report_is_whole_in_the_body_and_short_in_the_subject() {
        let action = format!("{} the end", "word ".repeat(1_998));
        let notice = Notice {
            action: &action,
            ..notice()
        };
        let mail = notice.render().unwrap();
        assert_eq!(
            mail.subject.chars().count(),
            "[TD-7F3K2Q] : no trace ID given".len() + MAX_SUBJECT_ACTION_CHARS
        );
        assert!(mail.text.contains("the end") && mail.html.contains("the end"));
        assert!(mail.text.lines().all(|line| line.chars().count() <= 78));
    }

    #[test]
    fn one_word_of_ten_thousand_letters_is_kept() {
        let action = "ж".repeat(10_000);
        let mail = Notice {
            action: &action,
            ..notice()
        }
        .render()
        .unwrap();
        assert!(mail.text.contains(&action) && mail.html.contains(&action));
    }

    #[test]
    fn times_are_told_from_the_report() {
        let told = |minutes| relative(TimeDelta::minutes(minutes));
        assert_eq!(told(0), "just before the report");
        assert_eq!(told(1), "1 minute before the report");
        assert_eq!(told(150), "2 hours before the report");
        assert_eq!(told(60 * 24), "1 day before the report");
        assert_eq!(told(-3), "3 minutes after the report");
    }
}
