//! What tracedesk looks at in a span, read from it once: the attributes that tell who, where and what went wrong.
//! Names and their older forms are those of the OpenTelemetry semantic conventions.

use super::ids::SpanId;
use super::otlp::{Detail, EventView, SpanView, ValueView};
use super::trace::{SpanKind, SpanStatus};
use super::wire::WireError;
use crate::failure_rule::{FailureRules, RuleIndex};

/// A span as far as failures, pages and users are concerned. Borrows from the encoded span.
#[derive(Debug, Clone)]
pub struct SpanFacts<'a> {
    /// The span's ID.
    pub id: SpanId,
    /// The span that caused this one.
    pub parent_id: Option<SpanId>,
    /// `service.name` of its resource.
    pub service: &'a str,
    /// The operation's name.
    pub name: &'a str,
    /// The role the span plays.
    pub kind: SpanKind,
    /// Start in nanoseconds since the epoch.
    pub start_ns: u64,
    /// End in nanoseconds since the epoch.
    pub end_ns: u64,
    /// Outcome as the instrumentation set it.
    pub status: SpanStatus,
    /// The status's message.
    pub status_message: &'a str,
    /// `http.response.status_code`.
    pub http_status: Option<i64>,
    /// `rpc.grpc.status_code`.
    pub grpc_status: Option<i64>,
    /// `error.type`.
    pub error_type: &'a str,
    /// The older `error=true`.
    pub has_error_tag: bool,
    /// `exception.type` of the last exception event, or of the span.
    pub exception_type: &'a str,
    /// `exception.message` of the last exception event, or of the span.
    pub exception_message: &'a str,
    /// Whether it has an exception event.
    pub has_exception: bool,
    /// Whether it is a call of a generative model (`gen_ai.*`, `OpenInference`'s `llm.*`).
    pub is_gen_ai: bool,
    /// Path of the URL it served or called.
    pub url_path: Option<&'a str>,
    /// Who the span says the user is.
    pub user: Option<&'a str>,
    /// The first of the operator's rules that fits it.
    pub rule: Option<RuleIndex>,
}

/// What a span's attributes and events tell, gathered one by one.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    rules: &'a FailureRules,
    rule: Option<RuleIndex>,
    http_status: Option<i64>,
    grpc_status: Option<i64>,
    error_type: &'a str,
    has_error_tag: bool,
    exception_type: &'a str,
    exception_message: &'a str,
    has_exception: bool,
    is_gen_ai: bool,
    url_path: Option<&'a str>,
    user: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// Nothing so far.
    #[must_use]
    pub fn new(rules: &'a FailureRules) -> Self {
        Self {
            rules,
            rule: None,
            http_status: None,
            grpc_status: None,
            error_type: "",
            has_error_tag: false,
            exception_type: "",
            exception_message: "",
            has_exception: false,
            is_gen_ai: false,
            url_path: None,
            user: None,
        }
    }

    /// Of the rules that fit any attribute, the first counts.
    fn ask_rules(&mut self, key: &str, value: ValueView<'a>) {
        if let Some(fit) = self.rules.first_fit(key, || value.to_text()) {
            self.rule = Some(self.rule.map_or(fit, |known| known.min(fit)));
        }
    }

    /// Takes one more. An event that can't be read tells nothing.
    pub fn hear(&mut self, detail: Detail<'a>) {
        match detail {
            Detail::Attribute(key, value) => {
                self.ask_rules(key, value);
                self.take(key, value);
            }
            Detail::Event(event) => self.take_event(&event),
        }
    }

    fn take_event(&mut self, event: &EventView<'a>) {
        if event.name == "exception" {
            self.has_exception = true;
            for (key, value) in event.attributes().filter_map(Result::ok) {
                self.ask_rules(key, value);
                self.take_exception(key, value);
            }
        }
    }

    fn take(&mut self, key: &str, value: ValueView<'a>) {
        match key {
            "http.response.status_code" | "http.status_code" => self.http_status = value.as_i64(),
            "rpc.grpc.status_code" => self.grpc_status = value.as_i64(),
            "error.type" => self.error_type = value.as_str().unwrap_or_default(),
            "error" => {
                self.has_error_tag =
                    matches!(value, ValueView::Bool(true) | ValueView::String("true"));
            }
            // The new name wins over the old one, whichever comes first.
            "url.path" => self.url_path = value.as_str(),
            "http.target" | "url.full" | "http.url" => {
                self.url_path = self.url_path.or_else(|| value.as_str().and_then(path_of));
            }
            "enduser.id" | "enduser.pseudo.id" | "user.id" | "user.email" | "user.hash" => {
                self.user = self
                    .user
                    .or_else(|| value.as_str())
                    .filter(|user| !user.is_empty());
            }
            _ if key.starts_with("gen_ai.") || key.starts_with("llm.") => self.is_gen_ai = true,
            _ => self.take_exception(key, value),
        }
    }

    fn take_exception(&mut self, key: &str, value: ValueView<'a>) {
        match key {
            "exception.type" => self.exception_type = value.as_str().unwrap_or_default(),
            "exception.message" => self.exception_message = value.as_str().unwrap_or_default(),
            _ => {}
        }
    }
}

impl<'a> SpanFacts<'a> {
    /// Reads a stored span whose ID is valid; `service` is its resource's.
    ///
    /// # Errors
    /// When the span's encoding is broken.
    pub fn read(
        span: &SpanView<'a>,
        id: SpanId,
        service: &'a str,
        rules: &'a FailureRules,
    ) -> Result<Self, WireError> {
        let mut told = Told::new(rules);
        for attribute in span.attributes() {
            let (key, value) = attribute?;
            told.hear(Detail::Attribute(key, value));
        }
        for event in span.events() {
            told.hear(Detail::Event(event?));
        }
        Ok(Self::new(span, id, service, &told))
    }

    /// Of a span and what it told.
    #[must_use]
    pub fn new(span: &SpanView<'a>, id: SpanId, service: &'a str, told: &Told<'a>) -> Self {
        Self {
            id,
            parent_id: SpanId::from_bytes(span.parent_span_id),
            service,
            name: span.name,
            kind: span.kind,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            status: span.status,
            status_message: span.status_message,
            http_status: told.http_status,
            grpc_status: told.grpc_status,
            error_type: told.error_type,
            has_error_tag: told.has_error_tag,
            exception_type: told.exception_type,
            exception_message: told.exception_message,
            has_exception: told.has_exception,
            is_gen_ai: told.is_gen_ai,
            url_path: told.url_path,
            user: told.user,
            rule: told.rule,
        }
    }

    /// Whether the span itself says that it failed. HTTP servers leave the status unset on 4xx, so the code counts.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.status == SpanStatus::Error
            || self.has_error_tag
            || !self.error_type.is_empty()
            || self.http_status.is_some_and(|code| code >= 400)
            || self.grpc_status.is_some_and(|code| code != 0)
    }

    /// Whether it may have failed: an exception was recorded, but nobody set the outcome.
    #[must_use]
    pub fn may_have_failed(&self) -> bool {
        self.has_exception && self.status == SpanStatus::Unset
    }
}

/// The path of an absolute URL or of a request target; `None` for what is neither.
fn path_of(url: &str) -> Option<&str> {
    let from_path = match url.split_once("://") {
        Some((_scheme, rest)) => rest
            .find('/')
            .and_then(|slash| rest.get(slash..))
            .unwrap_or("/"),
        None => url,
    };
    let end = from_path.find(['?', '#']).unwrap_or(from_path.len());
    from_path.get(..end).filter(|path| path.starts_with('/'))
}

/// `service.name` of an encoded `Resource`, or `unknown_service` as the SDKs call it.
#[must_use]
pub fn service_name(resource: &[u8]) -> &str {
    super::otlp::attributes(resource, 1)
        .filter_map(Result::ok)
        .find(|(key, _)| *key == "service.name")
        .and_then(|(_, value)| value.as_str())
        .filter(|name| !name.is_empty())
        .unwrap_or("unknown_service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_out_of_urls() {
        for (url, path) in [
            ("https://app.example.com/docs/7?tab=1#top", Some("/docs/7")),
            ("https://app.example.com", Some("/")),
            ("/docs/7?x", Some("/docs/7")),
            ("docs", None),
            ("", None),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }
}
