//! The form, shown again with all that was typed and sent.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::finding::Finding;
use super::form_page::{FormPage, FormValues, ReadBack};
use crate::http::error::{FieldError, Problem};
use crate::http::form::{MAX_REPORT_BYTES, Trouble, too_large, too_many};
use crate::http::page::public_html;
use crate::links::trace_ref;
use crate::tickets::drafts::Drafts;

/// The "Check" button: how the trace ID is read and what can be said of the trace, nothing sent.
pub(super) fn check(
    values: FormValues,
    drafts: Drafts,
    file_error: Option<FieldError>,
    finding: Option<Finding>,
) -> HttpResponse {
    let mut errors: Vec<(&'static str, String)> = file_error
        .into_iter()
        .map(|error| (error.field, error.detail))
        .collect();
    let read_back = match read_back(&values.trace_id) {
        Ok(text) => Some(text),
        Err(error) => {
            errors.push(("trace_id", error));
            None
        }
    };
    let status = if errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    public_html(
        status,
        &FormPage {
            values,
            errors,
            read_back,
            drafts,
            finding,
            is_check: true,
            ..FormPage::default()
        },
    )
}

pub(super) fn again(values: FormValues, drafts: Drafts, errors: Vec<FieldError>) -> HttpResponse {
    let read_back = read_back(&values.trace_id).ok();
    let status = if errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let errors = errors
        .into_iter()
        .map(|error| (error.field, error.detail))
        .collect();
    public_html(
        status,
        &FormPage {
            values,
            errors,
            read_back,
            drafts,
            ..FormPage::default()
        },
    )
}

/// The report could not be kept: what was typed must not be lost with it.
pub(super) fn not_now(values: FormValues, drafts: Drafts, problem: &Problem) -> HttpResponse {
    let detail = if problem.status() == StatusCode::TOO_MANY_REQUESTS {
        format!("{} Nothing you typed is lost.", problem.detail())
    } else {
        "Your report could not be saved just now. Nothing you typed is lost: send it again in a moment.".to_owned()
    };
    let page = FormPage {
        values,
        errors: vec![("form", detail)],
        drafts,
        ..FormPage::default()
    };
    problem.respond(public_html(problem.status(), &page))
}

pub(super) fn read_back(typed: &str) -> Result<ReadBack, String> {
    let read = trace_ref::parse(typed).map_err(|error| error.to_string())?;
    Ok(ReadBack {
        shape: read.shape.label(),
        ids: read.candidates.iter().map(ToString::to_string).collect(),
    })
}

/// Some of the form did not get through. What did is kept.
pub(super) fn not_whole(
    values: FormValues,
    drafts: Drafts,
    trouble: Trouble,
    file_error: Option<String>,
) -> HttpResponse {
    let (field, detail) = match trouble {
        Trouble::TooMuchText => (
            "form",
            format!("That is more text than the {} KiB that can be taken, and its end was cut. Shorten it, or add a screenshot instead.", MAX_REPORT_BYTES / 1024),
        ),
        Trouble::TooLarge => ("screenshots", file_error.unwrap_or_else(too_large)),
        Trouble::TooManyFiles => (
            "screenshots",
            format!("{} The first ones are kept below.", too_many()),
        ),
        Trouble::NoRoom => (
            "screenshots",
            "There is no room for pictures just now. Nothing you typed is lost: add them again in a minute, or send the report without.".to_owned(),
        ),
    };
    let page = FormPage {
        read_back: read_back(&values.trace_id).ok(),
        values,
        errors: vec![(field, detail)],
        drafts,
        ..FormPage::default()
    };
    let problem = trouble.problem();
    problem.respond(public_html(problem.status(), &page))
}
