//! What went wrong in a trace, told from the trace alone: one hand-made trace a case in tests/data/failures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use tracedesk::failure_rule::FailureRules;
use tracedesk::ingest::json::to_protobuf;
use tracedesk::ingest::split::split;
use tracedesk::traces::assemble::RawTrace;
use tracedesk::traces::failure::{Failure, FailureClass};
use tracedesk::traces::store::{StoredPart, StoredTrace};
use tracedesk::traces::waterfall::Waterfall;

use crate::app::TestApp;
use crate::spans::{export, failed, new_trace_id, span, text};

use FailureClass::{
    Cancelled, DocumentFailed, InternalError, PlanLimit, PromptTooLong, ProviderError, RateLimited,
    Timeout, Unauthorized, UploadTooLarge,
};

/// File, class, failing span, what its message says.
const CASES: &[(&str, FailureClass, &str, &str)] = &[
    (
        "plan_limit",
        PlanLimit,
        "check plan",
        "PlanLimitError: daily chat cap of 50 reached",
    ),
    // The provider's 429 is no rate limit: waiting does not help.
    (
        "plan_limit_provider",
        PlanLimit,
        "chat gpt-5",
        "exceeded your current quota",
    ),
    (
        "prompt_too_long",
        PromptTooLong,
        "chat claude-sonnet",
        "214311 tokens > 200000 maximum",
    ),
    // The server answered 200 and the job failed behind it.
    (
        "document_failed",
        DocumentFailed,
        "convert document",
        "PdfReadError: EOF marker not found",
    ),
    // A server's 4xx leaves the status unset, as the conventions ask.
    (
        "upload_too_large",
        UploadTooLarge,
        "POST /documents",
        "HTTP 413",
    ),
    ("unauthorized", Unauthorized, "GET /v1/files", "HTTP 401"),
    // An exception without details below an HTTP 429.
    (
        "rate_limited",
        RateLimited,
        "acquire slot",
        "app.errors.SlotError",
    ),
    // The deepest error explains its parents.
    (
        "provider_error",
        ProviderError,
        "chat claude-opus",
        "Overloaded",
    ),
    (
        "timeout",
        Timeout,
        "step: fetch rows",
        "asyncio.TimeoutError",
    ),
    (
        "internal_error",
        InternalError,
        "POST /v1/chat",
        "KeyError: 'session'",
    ),
    ("cancelled", Cancelled, "chat gpt-5", "CancelledError"),
    // The first attempt failed and the second did not: it is not why the request failed.
    (
        "recovered_retry",
        InternalError,
        "save answer",
        "UniqueViolation: duplicate key",
    ),
    (
        "exception_without_outcome",
        InternalError,
        "render",
        "ZeroDivisionError: division by zero",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/failures")
}

/// The trace of a file as it would be kept, and the failure in its summary.
fn kept(name: &str) -> (RawTrace, Option<Failure>) {
    let json = std::fs::read(folder().join(name).with_extension("json")).unwrap();
    let converted = to_protobuf(&json).unwrap();
    assert_eq!(
        converted.rejected, 0,
        "{name}: {:?}",
        converted.first_reason
    );
    let mut parts = split(&converted.request, &FailureRules::default())
        .unwrap()
        .parts;
    assert_eq!(parts.len(), 1, "{name}");
    let part = parts.pop().unwrap();
    let stored = StoredTrace {
        parts: vec![StoredPart {
            part_id: part.part_id,
            raw_bytes: part.raw_bytes,
            payload: part.payload,
        }],
        is_truncated: false,
    };
    (
        RawTrace::unpack(part.trace_id, &stored).unwrap(),
        part.failure,
    )
}

#[test]
fn each_failure_is_found_where_it_happened() {
    for (name, class, span, message) in CASES {
        let (trace, summary) = kept(name);
        let failure = trace
            .failure(&FailureRules::default())
            .unwrap()
            .unwrap_or_else(|| panic!("{name}"));
        assert_eq!(failure.class, *class, "{name}: {failure:?}");
        assert_eq!(failure.span_name, *span, "{name}");
        assert!(
            failure.message.contains(message),
            "{name}: {}",
            failure.message
        );
        let summary = summary.unwrap();
        assert_eq!(summary.fingerprint, failure.fingerprint, "{name}");
        assert_eq!(summary.class, failure.class, "{name}");
    }
}

#[test]
fn every_class_has_a_trace_and_every_trace_is_tried() {
    let mut files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    for (name, ..) in CASES {
        assert!(files.remove(*name), "{name}");
    }
    assert_eq!(
        files,
        ["none", "cycle_and_orphans"].map(str::to_owned).into()
    );
    let classes: BTreeSet<_> = CASES.iter().map(|(_, class, ..)| class.as_str()).collect();
    assert_eq!(classes.len(), 10);
}

#[test]
fn a_trace_that_went_well_has_no_failure() {
    let (trace, summary) = kept("none");
    assert_eq!(trace.failure(&FailureRules::default()).unwrap(), None);
    assert_eq!(summary, None);
}

#[test]
fn cycles_and_orphans_hang_nothing() {
    let (trace, _) = kept("cycle_and_orphans");
    let failure = trace.failure(&FailureRules::default()).unwrap().unwrap();
    assert_eq!(failure.class, InternalError);
    let assembled = trace.assemble().unwrap();
    let waterfall = Waterfall::build(&assembled, Some(failure.span_id));
    assert_eq!(waterfall.rows.len(), 4, "each span once");
    assert!(waterfall.failing.is_some());
}

#[test]
fn the_same_failure_has_the_same_fingerprint_whatever_the_numbers_in_it() {
    let of = |name: &str, from: &str, to: &str| {
        let json = std::fs::read_to_string(folder().join(name).with_extension("json")).unwrap();
        assert!(json.contains(from));
        let converted = to_protobuf(json.replace(from, to).as_bytes()).unwrap();
        let part = split(&converted.request, &FailureRules::default())
            .unwrap()
            .parts
            .pop()
            .unwrap();
        part.failure.unwrap().fingerprint
    };
    let first = of("prompt_too_long", "214311", "214311");
    assert_eq!(of("prompt_too_long", "214311", "999999"), first);
    assert_eq!(of("prompt_too_long", "4bf9", "5bf9"), first);
    assert_ne!(of("prompt_too_long", "maximum", "minimum"), first);
    assert_ne!(of("prompt_too_long", "llm-gateway", "llm-router"), first);
}

const RULES: &str = r#"
[[failure_rule]]
attribute = "app.code"
operator = "starts_with"
value = "QUOTA_"
class = "plan_limit"
[failure_rule.advice]
en = "Your team used up its pages."
de = "Ihr Team hat seine Seiten aufgebraucht."

[[failure_rule]]
attribute = "app.code"
operator = "contains"
value = "_"
class = "cancelled"
"#;

/// A trace whose only span failed with these attributes.
fn coded(trace_id: &str, attributes: Vec<KeyValue>) -> TracesData {
    let mut root = failed(span(trace_id, 1, 0, "POST /pages"), "AppError", "refused");
    root.attributes = attributes;
    export("api", vec![root])
}

#[test]
fn rules_are_asked_after_the_conventions_and_the_first_that_fits_wins() {
    let mut file: toml::Table = RULES.parse().unwrap();
    let rules = FailureRules::parse(file.remove("failure_rule").unwrap()).unwrap();
    let class = |attributes| {
        let data = coded(&new_trace_id(), attributes).encode_to_vec();
        let part = split(&data, &rules).unwrap().parts.pop().unwrap();
        let failure = part.failure.unwrap();
        (failure.class, failure.rule)
    };
    let first = Some("app.code starts_with QUOTA_".to_owned());
    assert_eq!(
        class(vec![text("app.code", "QUOTA_DAY")]),
        (PlanLimit, first)
    );
    let second = Some("app.code contains _".to_owned());
    assert_eq!(
        class(vec![text("app.code", "DAY_QUOTA")]),
        (Cancelled, second)
    );
    assert_eq!(class(vec![text("app.code", "E1")]), (InternalError, None));
    // What the conventions say for certain stands; what is only likely (a failed call of a model) does not.
    let code = || text("app.code", "QUOTA_DAY");
    let status = text("http.response.status_code", "401");
    assert_eq!(class(vec![code(), status]), (Unauthorized, None));
    let model = text("gen_ai.system", "openai");
    assert_eq!(class(vec![model.clone(), code()]).0, PlanLimit);
    assert_eq!(class(vec![model]).0, ProviderError);
}

#[tokio::test]
async fn a_rules_advice_reaches_the_reporter_in_their_language() {
    let app = TestApp::builder().failure_rules(RULES).start().await;
    let trace_id = new_trace_id();
    let data = coded(&trace_id, vec![text("app.code", "QUOTA_DAY")]);
    app.send_spans(&data).await;
    let found = app
        .post("/trace-findings")
        .header("accept-language", "de")
        .form(&[("trace_id", &trace_id)]);
    let html = found.send().await.unwrap().text().await.unwrap();
    assert!(
        html.contains("Ihr Team hat seine Seiten aufgebraucht."),
        "{html}"
    );
    let ticket = app.open_ticket(&app.report_of(&trace_id)).await;
    let failure = &ticket["trace"]["failure"];
    assert_eq!(failure["class"], "plan_limit");
    assert_eq!(failure["advice"], "Your team used up its pages.");
    let path = ticket["url"].as_str().unwrap();
    let page = app
        .http
        .get(path)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("Your team used up its pages."), "{page}");
    let mail = app.mail().await;
    assert!(
        mail.text.contains("Your team used up its pages."),
        "{}",
        mail.text
    );
    app.finish().await;
}

#[tokio::test]
async fn bad_rules_are_named_at_start() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracedesk.toml");
    let text = RULES
        .replace("starts_with", "like")
        .replace("cancelled", "gone");
    std::fs::write(&file, text + "\n[[failure_rule]]\nattribute = \"x\"\n").unwrap();
    let settings = [
        ("TRACEDESK_CONFIG", file.to_str().unwrap()),
        ("TRACEDESK_LISTEN", "nowhere"),
    ];
    let output = app.run_with(&["doctor"], &settings).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for fault in [
        "failure_rule 1: operator: \"like\"",
        "failure_rule 2: class: \"gone\"",
        "failure_rule 3: missing field `operator`",
        "TRACEDESK_LISTEN",
    ] {
        assert!(told.contains(fault), "{fault} in {told}");
    }
    app.finish().await;
}
