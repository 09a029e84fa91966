//! From one failed span to a failure class: codes first, then the words that providers and libraries use.

use super::facts::SpanFacts;
use super::failure::FailureClass;
use super::trace::SpanKind;
use crate::failure_rule::{FailureRules, RuleIndex};

/// How much of each text is searched for words: stack traces may be long, and the cause stands at the start.
const MAX_SEARCHED_BYTES: usize = 2_000;

const PLAN: &[&str] = &[
    "insufficient_quota",
    "quota exceeded",
    "exceeded your current quota",
    "billing",
    "plan limit",
    "credit balance",
    "out of credits",
    "upgrade your plan",
    "storage cap",
    "daily cap",
    "daily chat cap",
];
const PROMPT: &[&str] = &[
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "prompt is too long",
    "prompt too long",
    "prompt limit",
    "input is too long",
    "too many tokens",
];
const TOO_LARGE: &[&str] = &[
    "request_too_large",
    "payloadtoolarge",
    "payload too large",
    "entity too large",
    "file too large",
    "file size limit",
];
const RATE: &[&str] = &[
    "ratelimit",
    "rate_limit",
    "rate limit",
    "throttl",
    "resource_exhausted",
    "too many requests",
];
const AUTH: &[&str] = &[
    "unauthenticated",
    "unauthorized",
    "authenticationerror",
    "authentication_error",
    "permission_denied",
    "permission denied",
    "invalid api key",
    "invalid_api_key",
    "forbidden",
];
const CANCELLED: &[&str] = &[
    "cancelled",
    "canceled",
    "client disconnected",
    "aborterror",
    "cancellederror",
];
const TIMEOUT: &[&str] = &["timeout", "timed out", "deadline"];
const OVERLOADED: &[&str] = &["overloaded", "model is unavailable", "no healthy upstream"];
const DOCUMENT: &[&str] = &[
    "document",
    "pdf",
    "docx",
    "pptx",
    "xlsx",
    "ocr",
    "unsupported file",
    "extract text",
];

/// The class of one failed span, as far as it alone tells: by codes and words that are certain, then by the operator's
/// rules, then by what is likely. Also the rule, if it was one that told.
#[must_use]
pub fn classify(span: &SpanFacts<'_>, rules: &FailureRules) -> (FailureClass, Option<RuleIndex>) {
    if let Some(class) = certain(span) {
        return (class, None);
    }
    let told = span.rule.and_then(|rule| Some((rules.class(rule)?, rule)));
    match told {
        Some((class, rule)) => (class, Some(rule)),
        None => (likely(span), None),
    }
}

fn calls_model(span: &SpanFacts<'_>) -> bool {
    span.is_gen_ai && span.kind != SpanKind::Server
}

fn certain(span: &SpanFacts<'_>) -> Option<FailureClass> {
    let code = span
        .http_status
        .or_else(|| span.error_type.parse().ok())
        .unwrap_or(0);
    let words = searched_text(span);
    let says = |list: &[&str]| list.iter().any(|word| words.contains(word));
    let calls_model = calls_model(span);

    Some(if code == 402 || says(PLAN) {
        FailureClass::PlanLimit
    } else if says(PROMPT) || (calls_model && code == 413) {
        FailureClass::PromptTooLong
    } else if code == 413 || says(TOO_LARGE) {
        FailureClass::UploadTooLarge
    } else if code == 429 || span.grpc_status == Some(8) || says(RATE) {
        FailureClass::RateLimited
    } else if calls_model && (matches!(code, 401 | 403) || says(AUTH)) {
        // The product's own key at the provider: the user can't mend it, but another model works.
        FailureClass::ProviderError
    } else if matches!(code, 401 | 403) || matches!(span.grpc_status, Some(7 | 16)) || says(AUTH) {
        FailureClass::Unauthorized
    } else if code == 499 || span.grpc_status == Some(1) || says(CANCELLED) {
        FailureClass::Cancelled
    } else if matches!(code, 408 | 504) || span.grpc_status == Some(4) || says(TIMEOUT) {
        FailureClass::Timeout
    } else if code == 529 || says(OVERLOADED) {
        FailureClass::ProviderError
    } else {
        return None;
    })
}

fn likely(span: &SpanFacts<'_>) -> FailureClass {
    let (words, name) = (searched_text(span), span.name.to_ascii_lowercase());
    if calls_model(span) {
        FailureClass::ProviderError
    } else if DOCUMENT
        .iter()
        .any(|word| words.contains(word) || name.contains(word))
    {
        FailureClass::DocumentFailed
    } else {
        FailureClass::InternalError
    }
}

fn searched_text(span: &SpanFacts<'_>) -> String {
    let texts = [
        span.error_type,
        span.exception_type,
        span.exception_message,
        span.status_message,
    ];
    let mut searched = String::new();
    for text in texts {
        searched.push_str(
            text.get(..text.floor_char_boundary(MAX_SEARCHED_BYTES))
                .unwrap_or(text),
        );
        searched.push('\n');
    }
    searched.make_ascii_lowercase();
    searched
}
