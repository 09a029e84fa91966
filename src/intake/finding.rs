//! What a trace ID tells the person who has it: that we found it, when it ran, what kind of failure it was and what
//! helps. Never a span, a name or a message: whoever holds an ID learns nothing internal.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use askama::filters::Safe;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::helped::{HelpfulFragment, SolvedPage};
use crate::content::{Words, escape};
use crate::failure_rule::FailureRules;
use crate::help::answer::HelpAnswer;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem};
use crate::http::form::{self, Fields};
use crate::http::page::{Frame, html};
use crate::http::reader;
use crate::http::view::When;
use crate::links::failures;
use crate::links::trace_ref::{self, TraceRef};
use crate::state::AppState;
use crate::traces::assemble::RawTrace;
use crate::traces::failure::{Failure, FailureClass};
use crate::traces::ids::TraceId;
use crate::traces::store as traces;

/// What we can say of a trace ID.
#[derive(Debug, Clone)]
pub enum Finding {
    /// The trace is stored.
    Found(Found),
    /// Nothing of it is stored, as yet or any more.
    Unknown,
}

/// What is said of a stored trace.
#[derive(Debug, Clone)]
pub struct Found {
    /// When it started.
    pub started: When,
    /// What failed, if it shows a failure.
    pub class: Option<FailureClass>,
    /// What helps.
    pub advice: Option<String>,
}

impl Found {
    /// What failed and when, as markup.
    #[must_use]
    pub fn sentence(&self, words: &Words) -> Safe<String> {
        let (time, clock) = (escape(&self.started.relative), self.started.clock_tag());
        let (pattern, failure) = match self.class {
            Some(class) => (
                &words.finding.found,
                words.failures.of(class).found.as_str(),
            ),
            None => (&words.finding.no_failure, ""),
        };
        pattern.markup(&[
            ("failure", &escape(failure)),
            ("time", &time),
            ("clock", &clock),
        ])
    }
}

/// The answer to the form's script: what the form itself would show.
#[derive(Debug, Template)]
#[template(path = "components/finding.html")]
struct FindingFragment {
    frame: Frame,
    finding: Option<Finding>,
}

impl FindingFragment {
    fn helpful(&self, answer: HelpAnswer) -> HelpfulFragment {
        HelpfulFragment::new(&self.frame, answer, None)
    }
}

/// `POST /trace-findings`: what can be said of a trace ID, as a piece of the form.
///
/// # Errors
/// [`PageError`]; 429 for an address that asks too often.
pub async fn look_up(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let form = form::read(&request, payload, &state.uploads)
        .await
        .map_err(PageError)?;
    let finding = of_text(&request, &state, typed(&form.fields)).await?;
    let frame = Frame::public();
    Ok(html(StatusCode::OK, &FindingFragment { frame, finding }))
}

fn typed(fields: &Fields) -> &str {
    fields
        .get("trace_id")
        .map(String::as_str)
        .unwrap_or_default()
}

/// What can be said of what was typed; `None` when it holds no trace ID.
///
/// # Errors
/// [`Problem`]; 429 for an address that asks too often.
pub async fn of_text(
    request: &HttpRequest,
    state: &AppState,
    typed: &str,
) -> Result<Option<Finding>, Problem> {
    let Ok(read) = trace_ref::parse(typed) else {
        return Ok(None);
    };
    let peer = limit_key(client_ip(request, &state.config.trusted_proxies));
    state.limits.check.check(&peer)?;
    let Some((started, failure)) = find(state, &read).await? else {
        return Ok(Some(Finding::Unknown));
    };
    let words = reader::current().words;
    Ok(Some(Finding::Found(Found {
        started: When::for_reader(started, state.clock.now(), &words),
        class: failure.as_ref().map(|failure| failure.class),
        advice: failure.map(|failure| {
            let rules = &state.config.failure_rules;
            let advice = rules.advice_in(&words, failure.class, failure.rule.as_deref());
            advice.to_owned()
        }),
    })))
}

/// Counts a failure that the advice solved, and says thanks.
///
/// # Errors
/// [`PageError`].
pub async fn solved(
    request: &HttpRequest,
    state: &AppState,
    typed: &str,
) -> Result<HttpResponse, PageError> {
    let peer = limit_key(client_ip(request, &state.config.trusted_proxies));
    state.limits.click.check(&peer)?;
    // The class is the trace's, not what the request says: a count can't be made up.
    if let Ok(read) = trace_ref::parse(typed)
        && let Some((_, Some(failure))) = find(state, &read).await?
    {
        let today = state.clock.now().date_naive();
        failures::count_solved(&mut *state.pool.acquire().await?, today, failure.class).await?;
    }
    Ok(SolvedPage::answer())
}

async fn find(
    state: &AppState,
    read: &TraceRef,
) -> Result<Option<(DateTime<Utc>, Option<Failure>)>, Problem> {
    let _turn = state
        .readers
        .acquire()
        .await
        .map_err(|_closed| Problem::unavailable())?;
    let mut conn = state.pool.acquire().await?;
    let ids: Vec<Uuid> = read.candidates.iter().map(|id| id.as_uuid()).collect();
    let stored = traces::stored_among(&mut conn, &ids).await?;
    let Some(&trace_id) = read
        .candidates
        .iter()
        .find(|id| stored.contains(&id.as_uuid()))
    else {
        return Ok(None);
    };
    let rules = Arc::clone(&state.config.failure_rules);
    failure_of(&mut conn, trace_id, rules).await
}

async fn failure_of(
    conn: &mut PgConnection,
    trace_id: TraceId,
    rules: Arc<FailureRules>,
) -> Result<Option<(DateTime<Utc>, Option<Failure>)>, Problem> {
    let Some(stored) = traces::find(&mut *conn, trace_id).await? else {
        return Ok(None);
    };
    let Some(started) = traces::start(conn, trace_id).await? else {
        return Ok(None);
    };
    let failure =
        web::block(move || RawTrace::unpack(trace_id, &stored)?.failure(&rules)).await??;
    Ok(Some((started, failure)))
}
