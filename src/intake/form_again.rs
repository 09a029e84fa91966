//! The form, shown again with all that was typed and sent.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::finding::Finding;
use super::form_page::{FormPage, FormValues, ReadBack};
use super::helped::Voted;
use super::refusal::{Refusal, Refused};
use crate::http::error::{Problem, Reason};
use crate::http::form::Trouble;
use crate::http::page::public_html;
use crate::http::reader;
use crate::links::trace_ref;
use crate::tickets::drafts::Drafts;

/// The "Check" button: how the trace ID is read and what can be said of the trace, nothing sent.
pub(super) fn check(
    values: FormValues,
    drafts: Drafts,
    file_error: Option<Refused>,
    finding: Option<Finding>,
) -> HttpResponse {
    let mut errors: Vec<_> = file_error.into_iter().collect();
    let read_back = match read_back(&values.trace_id) {
        Ok(read) => Some(read),
        Err(refusal) => {
            errors.push(Refused {
                field: "trace_id",
                refusal,
            });
            None
        }
    };
    public_html(
        status_of(&errors),
        &FormPage {
            read_back,
            drafts,
            finding,
            is_check: true,
            ..FormPage::new(values, &errors)
        },
    )
}

/// A vote without a script: the page again, thanks in the place of the question.
pub(super) fn after_vote(values: FormValues, drafts: Drafts, voted: Voted) -> HttpResponse {
    let page = FormPage {
        read_back: read_back(&values.trace_id).ok(),
        drafts,
        voted: Some(voted),
        ..FormPage::new(values, &[])
    };
    public_html(StatusCode::OK, &page)
}

pub(super) fn again(values: FormValues, drafts: Drafts, errors: &[Refused]) -> HttpResponse {
    let read_back = read_back(&values.trace_id).ok();
    public_html(
        status_of(errors),
        &FormPage {
            read_back,
            drafts,
            ..FormPage::new(values, errors)
        },
    )
}

fn status_of(errors: &[Refused]) -> StatusCode {
    if errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    }
}

/// The report could not be kept: what was typed must not be lost with it.
pub(super) fn not_now(values: FormValues, drafts: Drafts, problem: &Problem) -> HttpResponse {
    let mut page = FormPage {
        drafts,
        ..FormPage::new(values, &[])
    };
    let form = &page.frame.words.form;
    let detail = match problem.reason() {
        Some(Reason::TooOften(seconds)) => form.too_often.fill(&[("seconds", &seconds)]),
        _ => form.not_saved.clone(),
    };
    page.errors.push(("form", detail));
    problem.respond(public_html(problem.status(), &page))
}

pub(super) fn read_back(typed: &str) -> Result<ReadBack, Refusal> {
    let read = trace_ref::parse(typed)?;
    Ok(ReadBack {
        shape: read.shape,
        ids: read.candidates.iter().map(ToString::to_string).collect(),
    })
}

/// The form lay open for too long; it may be sent again as it is.
pub(super) fn ask_again(values: FormValues, drafts: Drafts) -> HttpResponse {
    let words = reader::current().words;
    let page = with_error(values, drafts, ("form", words.form.stale.clone()));
    public_html(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Some of the form did not get through. What did is kept.
pub(super) fn not_whole(values: FormValues, drafts: Drafts, trouble: Trouble) -> HttpResponse {
    let field = if trouble.is_of_files() {
        "screenshots"
    } else {
        "form"
    };
    let words = reader::current().words;
    let page = with_error(values, drafts, (field, trouble.in_words(&words)));
    let problem = trouble.problem();
    problem.respond(public_html(problem.status(), &page))
}

fn with_error(values: FormValues, drafts: Drafts, error: (&'static str, String)) -> FormPage {
    FormPage {
        read_back: read_back(&values.trace_id).ok(),
        drafts,
        errors: vec![error],
        ..FormPage::new(values, &[])
    }
}
