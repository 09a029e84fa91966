//! The public form: `GET /` and `POST /tickets`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Duration, FixedOffset, NaiveDateTime, SecondsFormat, TimeZone as _, Utc};
use uuid::Uuid;

use super::finding::{self, Finding};
use super::form_page::{FormPage, FormValues, ReadBack};
use super::open::{self, Origin, ReportSource};
use super::refusal::{Refusal, Refused};
use super::report::{RawReport, Report};
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem, Reason};
use crate::http::form::{self, Fields};
use crate::http::page::public_html;
use crate::http::reader;
use crate::links::trace_ref;
use crate::state::AppState;
use crate::tickets::drafts::{self, Drafts, FilesIntent};

/// "Within the hour", as a time: its middle.
const HALF_AN_HOUR: Duration = Duration::minutes(30);

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
    let form = form::read(&request, payload, &state.uploads)
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
    let (drafts, error) = match drafts::keep(
        &state.pool,
        state.clock.now(),
        token,
        intent.removed(),
        form.files,
    )
    .await
    {
        Ok(kept) => kept,
        Err(problem) => return Ok(not_now(values, Drafts::default(), &problem)),
    };
    let file_error = error.map(|refusal| Refused {
        field: "screenshots",
        refusal: refusal.into(),
    });
    match intent {
        Intent::Check => {
            let finding = finding::of_text(&request, &state, &values.trace_id).await?;
            Ok(check(values, drafts, file_error, finding))
        }
        Intent::Files(_) => Ok(again(values, drafts, file_error.as_slice())),
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
        tried: Vec::new(),
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
    /// Add the chosen files, or take one away.
    Files(FilesIntent),
}

impl Intent {
    fn of(fields: &Fields) -> Self {
        match fields.get("intent").map(String::as_str) {
            Some("check") => Self::Check,
            Some("solved") => Self::Solved,
            // The switch of languages keeps the files too.
            Some("keep") => Self::Files(FilesIntent::Attach),
            _ => FilesIntent::of(fields).map_or(Self::Send, Self::Files),
        }
    }

    fn removed(&self) -> Option<Uuid> {
        match self {
            Self::Files(intent) => intent.removed(),
            Self::Send | Self::Check | Self::Solved => None,
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
    }
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

/// The time that was chosen, with an offset; what can't be read stays as typed, for the report to refuse.
fn occurred_at(values: &FormValues, now: DateTime<Utc>) -> String {
    let typed = values.occurred_at.trim();
    let offset = offset_of(&values.utc_offset);
    match values.when.as_str() {
        "at" => local(typed, offset).unwrap_or_else(|| typed.to_owned()),
        "hour" => rfc3339(now - HALF_AN_HOUR),
        "today" => rfc3339(middle_of_today(now, offset)),
        "" if !typed.is_empty() => local(typed, offset).unwrap_or_else(|| typed.to_owned()),
        _ => rfc3339(now),
    }
}

/// `datetime-local` has no offset: it is the one that the browser's script gave, or UTC.
fn local(typed: &str, offset: FixedOffset) -> Option<String> {
    let naive = [
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%S%.f",
    ]
    .iter()
    .find_map(|format| NaiveDateTime::parse_from_str(typed, format).ok())?;
    offset
        .from_local_datetime(&naive)
        .single()
        .map(|time| time.to_rfc3339())
}

/// Minutes ahead of UTC, at most a day.
fn offset_of(minutes: &str) -> FixedOffset {
    const UTC_OFFSET: FixedOffset = FixedOffset::east_opt(0).expect("zero is an offset");
    minutes
        .trim()
        .parse::<i32>()
        .ok()
        .and_then(|minutes| minutes.checked_mul(60))
        .and_then(FixedOffset::east_opt)
        .unwrap_or(UTC_OFFSET)
}

/// "Earlier today": halfway between the reporter's midnight and now.
fn middle_of_today(now: DateTime<Utc>, offset: FixedOffset) -> DateTime<Utc> {
    let here = now.with_timezone(&offset);
    let since_midnight = here.time().signed_duration_since(chrono::NaiveTime::MIN);
    now - since_midnight / 2
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(when: &str, occurred_at: &str, utc_offset: &str) -> String {
        let values = FormValues {
            when: when.to_owned(),
            occurred_at: occurred_at.to_owned(),
            utc_offset: utc_offset.to_owned(),
            ..FormValues::default()
        };
        super::occurred_at(&values, "2026-11-25T10:00:00Z".parse().unwrap())
    }

    #[test]
    fn chosen_times_become_moments() {
        assert_eq!(time("now", "", ""), "2026-11-25T10:00:00Z");
        assert_eq!(time("", "", ""), "2026-11-25T10:00:00Z");
        assert_eq!(time("hour", "", ""), "2026-11-25T09:30:00Z");
        assert_eq!(time("today", "", ""), "2026-11-25T05:00:00Z");
        assert_eq!(time("today", "", "120"), "2026-11-25T04:00:00Z");
        assert_eq!(
            time("at", "2026-11-25T10:30", "60"),
            "2026-11-25T10:30:00+01:00"
        );
        assert_eq!(
            time("at", "2026-11-25T10:30:05", "x"),
            "2026-11-25T10:30:05+00:00"
        );
        assert_eq!(time("", "2026-11-25T10:30:00Z", ""), "2026-11-25T10:30:00Z");
        assert_eq!(time("at", "soon", "99999999999"), "soon");
    }
}
