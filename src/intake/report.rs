//! A report: what a person submitted. [`Report::parse`] is the only way to one, so nothing invalid can be built.

use chrono::{DateTime, Duration, Utc};
use email_address::EmailAddress;
use url::Url;

use super::refusal::{Refusal, Refused};
use crate::links::trace_ref::{self, TraceRef};
pub use crate::tickets::kind::ReportKind;
use crate::tickets::message::clean_text;

/// Fewest characters of an action, after trimming.
pub const MIN_ACTION_CHARS: usize = 3;
/// Most characters of an action: some five pages of text.
pub const MAX_ACTION_CHARS: usize = 10_000;
/// Longest page URL in bytes: what browsers and proxies take everywhere.
pub const MAX_URL_BYTES: usize = 2_048;
/// Longest address: RFC 3696, erratum 1690.
pub const MAX_EMAIL_BYTES: usize = 254;
/// A clock may be this far ahead of ours.
pub const MAX_AHEAD: Duration = Duration::minutes(5);
/// Older failures are past any retention worth reporting.
pub const MAX_AGE: Duration = Duration::days(90);

/// The fields as they came. Absent and empty are the same.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names of DESIGN.md section 3")]
pub struct RawReport {
    pub action: String,
    pub page_url: String,
    pub occurred_at: String,
    pub kind: String,
    pub trace_id: String,
    pub email: String,
}

/// A valid report.
#[derive(Debug, Clone)]
pub struct Report {
    action: String,
    page_url: Url,
    occurred_at: DateTime<Utc>,
    kind: ReportKind,
    email: Option<String>,
    trace: Option<StatedTrace>,
}

/// A trace ID as the reporter gave it.
#[derive(Debug, Clone)]
pub struct StatedTrace {
    /// As typed, without what Postgres can't keep.
    pub typed: String,
    /// As read.
    pub read: TraceRef,
}

impl Report {
    /// Checks every field.
    ///
    /// # Errors
    /// Each field that breaks a rule, with the rule.
    pub fn parse(raw: &RawReport, now: DateTime<Utc>) -> Result<Self, Vec<Refused>> {
        let mut errors = Vec::new();
        let mut refused = |field, refusal| errors.push(Refused { field, refusal });
        let action = action(&raw.action)
            .map_err(|rule| refused("action", rule))
            .ok();
        let page_url = page_url(&raw.page_url)
            .map_err(|rule| refused("page_url", rule))
            .ok();
        let occurred_at = occurred_at(&raw.occurred_at, now)
            .map_err(|rule| refused("occurred_at", rule))
            .ok();
        let kind = kind(&raw.kind).map_err(|rule| refused("kind", rule)).ok();
        // The order of the form, whose summary lists them.
        let trace = stated_trace(&raw.trace_id)
            .map_err(|rule| refused("trace_id", rule))
            .ok();
        let email = email(&raw.email)
            .map_err(|rule| refused("email", rule))
            .ok();
        match (action, page_url, occurred_at, kind, email, trace) {
            (
                Some(action),
                Some(page_url),
                Some(occurred_at),
                Some(kind),
                Some(email),
                Some(trace),
            ) => Ok(Self {
                action,
                page_url,
                occurred_at,
                kind,
                email,
                trace,
            }),
            _ => Err(errors),
        }
    }

    /// What the reporter was doing: 3 to 10,000 characters, no control characters but line breaks and tabs.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Where: http or https, without credentials.
    #[must_use]
    pub fn page_url(&self) -> &Url {
        &self.page_url
    }

    /// Roughly when.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at
    }

    /// What failed.
    #[must_use]
    pub fn kind(&self) -> ReportKind {
        self.kind
    }

    /// Where to answer.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The trace ID, if one was given.
    #[must_use]
    pub fn trace(&self) -> Option<&StatedTrace> {
        self.trace.as_ref()
    }
}

fn action(text: &str) -> Result<String, Refusal> {
    let text = clean_text(text);
    match text.chars().count() {
        0 => Err(Refusal::ActionMissing),
        MIN_ACTION_CHARS..=MAX_ACTION_CHARS => Ok(text),
        count if count < MIN_ACTION_CHARS => Err(Refusal::ActionShort),
        count => Err(Refusal::ActionLong(count)),
    }
}

fn page_url(text: &str) -> Result<Url, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refusal::UrlMissing);
    }
    if text.len() > MAX_URL_BYTES {
        return Err(Refusal::UrlLong);
    }
    let mut url = Url::parse(text).map_err(|_unreadable| Refusal::UrlBroken)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Refusal::UrlScheme);
    }
    // Fails only for addresses that can't have credentials, which http ones can.
    let _removed = (url.set_username(""), url.set_password(None));
    // Written out, with what was not ASCII percent-encoded.
    if url.as_str().len() > MAX_URL_BYTES {
        return Err(Refusal::UrlLong);
    }
    Ok(url)
}

fn occurred_at(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::TimeMissing);
    }
    let time = DateTime::parse_from_rfc3339(text.trim())
        .map_err(|_unreadable| Refusal::TimeBroken)?
        .with_timezone(&Utc);
    if time > now + MAX_AHEAD {
        return Err(Refusal::TimeFuture);
    }
    if time < now - MAX_AGE {
        return Err(Refusal::TimeOld);
    }
    // Postgres keeps microseconds.
    Ok(DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time))
}

fn kind(text: &str) -> Result<ReportKind, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(ReportKind::Other);
    }
    let known = ReportKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text);
    known.ok_or(Refusal::KindUnknown)
}

/// A mail address, or none.
///
/// # Errors
/// The rule that it breaks.
pub fn email(text: &str) -> Result<Option<String>, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MAX_EMAIL_BYTES {
        return Err(Refusal::EmailLong);
    }
    // Quoted local parts and domain literals are valid and nobody has one; our mail library must take it as well.
    let is_plain = !text.contains(['"', '[', '<', '(']) && EmailAddress::is_valid(text);
    if is_plain && text.parse::<lettre::Address>().is_ok() {
        Ok(Some(text.to_owned()))
    } else {
        Err(Refusal::EmailBroken)
    }
}

fn stated_trace(text: &str) -> Result<Option<StatedTrace>, Refusal> {
    let typed = clean_text(text);
    if typed.is_empty() {
        return Ok(None);
    }
    let read = trace_ref::parse(&typed)?;
    Ok(Some(StatedTrace { typed, read }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-25T10:31:00Z".parse().unwrap()
    }

    fn raw() -> RawReport {
        RawReport {
            action: "uploading a 40-page PDF".to_owned(),
            page_url: "https://app.example.com/docs/7".to_owned(),
            occurred_at: "2026-11-25T10:30:00Z".to_owned(),
            kind: "upload".to_owned(),
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            email: "reporter@example.com".to_owned(),
        }
    }

    fn refused(change: impl FnOnce(&mut RawReport)) -> Vec<&'static str> {
        let mut raw = raw();
        change(&mut raw);
        match Report::parse(&raw, now()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn a_whole_report_is_taken() {
        let report = Report::parse(&raw(), now()).unwrap();
        assert_eq!(report.kind(), ReportKind::Upload);
        assert_eq!(report.trace().unwrap().read.candidates.len(), 1);
    }

    #[test]
    fn every_invalid_field_is_named_at_once() {
        let errors = Report::parse(
            &RawReport {
                action: "x".to_owned(),
                page_url: "app/docs".to_owned(),
                occurred_at: "yesterday".to_owned(),
                kind: "chit".to_owned(),
                trace_id: "none".to_owned(),
                email: "me".to_owned(),
            },
            now(),
        )
        .unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            [
                "action",
                "page_url",
                "occurred_at",
                "kind",
                "trace_id",
                "email"
            ]
        );
    }

    #[test]
    fn bounds_are_as_documented() {
        for (length, is_refused) in [(2, true), (3, false), (10_000, false), (10_001, true)] {
            assert_eq!(
                !refused(|raw| raw.action = "é".repeat(length)).is_empty(),
                is_refused,
                "{length}"
            );
        }
        for (time, is_refused) in [
            ("2026-11-25T10:36:00Z", false),
            ("2026-11-25T10:36:01Z", true),
            ("2026-08-27T10:31:00Z", false),
            ("2026-08-27T10:30:59Z", true),
            ("2026-11-25T10:30:00", true),
            ("2026-11-25T11:30:00+01:00", false),
        ] {
            assert_eq!(
                !refused(|raw| raw.occurred_at = time.to_owned()).is_empty(),
                is_refused,
                "{time}"
            );
        }
        let long = format!("https://e.com/{}", "a".repeat(2_048 - 14));
        assert!(refused(|raw| raw.page_url = long.clone()).is_empty());
        assert_eq!(refused(|raw| raw.page_url = long + "a"), ["page_url"]);
    }

    #[test]
    fn urls_lose_credentials_and_must_be_web_addresses() {
        let mut raw = raw();
        raw.page_url = "https://me:secret@app.example.com/x".to_owned();
        assert_eq!(
            Report::parse(&raw, now()).unwrap().page_url().as_str(),
            "https://app.example.com/x"
        );
        for url in [
            "javascript:alert(1)",
            "ftp://a/b",
            "/docs/7",
            "https://",
            "http:///",
        ] {
            assert_eq!(
                refused(|raw| raw.page_url = url.to_owned()),
                ["page_url"],
                "{url}"
            );
        }
    }

    #[test]
    fn optional_fields_may_be_absent_and_control_characters_go() {
        let mut raw = RawReport {
            trace_id: " ".to_owned(),
            email: String::new(),
            kind: String::new(),
            ..raw()
        };
        raw.action = " a\0b\u{7}c\r\nd ".to_owned();
        let report = Report::parse(&raw, now()).unwrap();
        assert_eq!(report.action(), "abc\nd");
        assert!(report.trace().is_none() && report.email().is_none());
        assert_eq!(report.kind(), ReportKind::Other);
    }

    #[test]
    fn addresses_are_checked() {
        for address in [
            "me",
            "a@",
            "@b",
            "a b@c.de",
            "a@b@c",
            "\"a b\"@c.de",
            "a\r\nBcc: x@y.z@c.de",
        ] {
            assert_eq!(
                refused(|raw| raw.email = address.to_owned()),
                ["email"],
                "{address}"
            );
        }
        assert!(refused(|raw| raw.email = "först.name+tag@exämple.com".to_owned()).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_that_is_taken_has_what_postgres_refuses(text in "\\PC{0,40}", noise in any::<String>()) {
            let raw = RawReport { action: format!("abc{text}{noise}"), page_url: noise.clone(), ..raw() };
            if let Ok(report) = Report::parse(&raw, now()) {
                prop_assert!(!report.action().contains('\0'));
                prop_assert!(!report.page_url().as_str().contains('\0'));
            }
        }
    }
}
