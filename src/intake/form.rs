//! The public form: `GET /` and `POST /tickets`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::drafts::{self, Drafts};
use super::fields::{self, Fields};
use super::finding::{self, Finding};
use super::form_page::{FormPage, FormValues, ReadBack};
use super::form_time::occurred_at;
use super::helped::{self, Voted};
use super::open::{self, Origin, ReportSource};
use super::refusal::{Refusal, Refused};
use super::report::{RawReport, Report};
use crate::help::answer::Vote;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem, Reason};
use crate::http::page::public_html;
use crate::http::reader;
use crate::links::trace_ref;
use crate::state::AppState;
use crate::tickets::recovery::RecoveryStep;

/// Shows the form, empty or filled from a link's query.
///
/// # Errors
/// [`PageError`].
pub async fn show(
    request: HttpRequest,
    query: web::Query<Fields>,
    state: web::Data<AppState>,
) -> PageResult {
    let values = values_of(&query);
    let read_back = read_back(&values.trace_id).ok();
    // The form is worth more than what can be said of the trace.
    let finding = finding::of_text(&request, &state, &values.trace_id)
        .await
        .unwrap_or_default();
    Ok(public_html(
        StatusCode::OK,
        &FormPage {
            read_back,
            finding,
            ..FormPage::new(values, &[])
        },
    ))
}

/// Opens a ticket and leads to its page, or shows the form again with all that was typed and sent.
///
/// # Errors
/// [`PageError`].
pub async fn submit(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let form = fields::read(&request, payload, &state.uploads)
        .await
        .map_err(PageError)?;
    let values = values_of(&form.fields);
    let intent = Intent::of(&form.fields);
    if matches!(intent, Intent::Solved) {
        return finding::solved(&request, &state, &values.trace_id).await;
    }
    let peer = limit_key(client_ip(&request, &state.config.trusted_proxies));
    if let Err(problem) = state.limits.report.check(&peer) {
        return Ok(not_now(values, Drafts::default(), &problem));
    }
    let token = form
        .fields
        .get("draft")
        .map(String::as_str)
        .unwrap_or_default();
    let (drafts, error) = match drafts::keep(&state, token, intent.removed(), form.files).await {
        Ok(kept) => kept,
        Err(problem) => return Ok(not_now(values, Drafts::default(), &problem)),
    };
    let file_error = error.map(|refusal| Refused {
        field: "screenshots",
        refusal,
    });
    match intent {
        Intent::Check => {
            let finding = finding::of_text(&request, &state, &values.trace_id).await?;
            Ok(check(values, drafts, file_error, finding))
        }
        Intent::Files(_) => Ok(again(values, drafts, file_error.as_slice())),
        Intent::Vote(vote) | Intent::Note(vote) => {
            let note = helped::note_of(&form.fields, vote);
            let note = matches!(intent, Intent::Note(_)).then_some(note);
            match helped::count(&request, &state, vote, note).await {
                Ok(voted) => Ok(after_vote(values, drafts, voted)),
                Err(problem) => Ok(not_now(values, drafts, &problem)),
            }
        }
        Intent::Send | Intent::Solved => send(&state, values, drafts, file_error).await,
    }
}

async fn send(
    state: &AppState,
    values: FormValues,
    drafts: Drafts,
    file_error: Option<Refused>,
) -> PageResult {
    let now = state.clock.now();
    let report = match (Report::parse(&raw_of(&values, now), now), file_error) {
        (Ok(report), None) => report,
        (parsed, file_error) => {
            let errors: Vec<_> = parsed
                .err()
                .unwrap_or_default()
                .into_iter()
                .chain(file_error)
                .collect();
            return Ok(again(values, drafts, &errors));
        }
    };
    let origin = Origin {
        source: ReportSource::Form,
        account_id: None,
        draft_hash: drafts.hash(),
        language: reader::current().words.tag().to_owned(),
        tried: values.tried.clone(),
    };
    let opened = match open::open_ticket(state, &report, &origin).await {
        Ok(opened) => opened,
        Err(problem) => return Ok(not_now(values, drafts, &problem)),
    };
    open::look_for_trace(state, &report, &opened).await;
    let page = state
        .config
        .base_url
        .join(&format!("/t/{}?sent=1", opened.token));
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, page))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

/// Which of the form's buttons was pressed.
enum Intent {
    /// Send the report.
    Send,
    /// Show how the trace ID is read, and what can be said of the trace.
    Check,
    /// The advice was enough.
    Solved,
    /// An answer was helpful or not.
    Vote(Vote),
    /// A line to such a vote.
    Note(Vote),
    /// Add the chosen files, or take one away.
    Files(Option<Uuid>),
}

impl Intent {
    fn of(fields: &Fields) -> Self {
        match fields.get("intent").map(String::as_str) {
            Some("check") => Self::Check,
            Some("solved") => Self::Solved,
            // The switch of languages keeps the files too.
            Some("attach" | "keep") => Self::Files(None),
            Some(other) => {
                let (what, of) = other.split_once('-').unwrap_or_default();
                match (what, Vote::parse(of)) {
                    ("remove", _) => Self::Files(Uuid::parse_str(of).ok()),
                    ("vote", Some(vote)) => Self::Vote(vote),
                    ("note", Some(vote)) => Self::Note(vote),
                    _ => Self::Send,
                }
            }
            None => Self::Send,
        }
    }

    fn removed(&self) -> Option<Uuid> {
        match self {
            Self::Files(removed) => *removed,
            _ => None,
        }
    }
}

fn values_of(fields: &Fields) -> FormValues {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    FormValues {
        action: field("action"),
        page_url: field("page_url"),
        when: field("when"),
        occurred_at: field("occurred_at"),
        utc_offset: field("utc_offset"),
        kind: field("kind"),
        trace_id: field("trace_id"),
        email: field("email"),
        tried: RecoveryStep::ALL
            .into_iter()
            .filter(|step| fields.contains_key(&format!("tried-{}", step.as_str())))
            .collect(),
    }
}

/// A vote without a script: the page again, thanks in the place of the question.
fn after_vote(values: FormValues, drafts: Drafts, voted: Voted) -> HttpResponse {
    let page = FormPage {
        read_back: read_back(&values.trace_id).ok(),
        drafts,
        voted: Some(voted),
        ..FormPage::new(values, &[])
    };
    public_html(StatusCode::OK, &page)
}

/// The "Check" button: how the trace ID is read and what can be said of the trace, nothing sent.
fn check(
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
    let status = if errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    public_html(
        status,
        &FormPage {
            read_back,
            drafts,
            finding,
            is_check: true,
            ..FormPage::new(values, &errors)
        },
    )
}

fn again(values: FormValues, drafts: Drafts, errors: &[Refused]) -> HttpResponse {
    let read_back = read_back(&values.trace_id).ok();
    let status = if errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    public_html(
        status,
        &FormPage {
            read_back,
            drafts,
            ..FormPage::new(values, errors)
        },
    )
}

/// The report could not be kept: what was typed must not be lost with it.
fn not_now(values: FormValues, drafts: Drafts, problem: &Problem) -> HttpResponse {
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
    public_html(problem.status(), &page)
}

fn read_back(typed: &str) -> Result<ReadBack, Refusal> {
    let read = trace_ref::parse(typed)?;
    Ok(ReadBack {
        shape: read.shape,
        ids: read.candidates.iter().map(ToString::to_string).collect(),
    })
}

fn raw_of(values: &FormValues, now: DateTime<Utc>) -> RawReport {
    RawReport {
        action: values.action.clone(),
        page_url: values.page_url.clone(),
        occurred_at: occurred_at(values, now),
        kind: values.kind.clone(),
        trace_id: values.trace_id.clone(),
        email: values.email.clone(),
    }
}
