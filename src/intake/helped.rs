//! What helped without a report, or did not: counted and nothing else. `POST /recoveries`, `POST /helpfulness`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::report::ReportKind;
use crate::help::answer::{HelpAnswer, Vote};
use crate::help::store as help;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem};
use crate::http::form::{self, Fields};
use crate::http::page::{Frame, Switch, html};
use crate::http::reader;
use crate::state::AppState;
use crate::tickets::recovery::RecoveryStep;

/// The end of the way when something helped.
#[derive(Debug, Template)]
#[template(path = "intake/solved.html")]
pub struct SolvedPage {
    /// The frame.
    pub frame: Frame,
}

impl SolvedPage {
    /// Thanks, nothing else asked.
    #[must_use]
    pub fn answer() -> HttpResponse {
        let frame = Frame::public().with_switch(Switch::Home);
        html(StatusCode::OK, &Self { frame })
    }
}

/// A vote that was given on the page at hand.
#[derive(Debug, Clone, Copy)]
pub struct Voted {
    /// The vote.
    pub vote: Vote,
    /// Whether a line came with it.
    pub has_note: bool,
}

/// "Was this helpful?" under an answer: the question, or what follows the vote.
#[derive(Debug, Template)]
#[template(path = "components/helpful.html")]
pub struct HelpfulFragment {
    frame: Frame,
    answer: HelpAnswer,
    voted: Option<Voted>,
}

impl HelpfulFragment {
    /// Under this answer, after the vote of this request, which may be about another answer.
    #[must_use]
    pub fn new(frame: &Frame, answer: HelpAnswer, voted: Option<Voted>) -> Self {
        Self {
            frame: frame.clone(),
            answer,
            voted: voted.filter(|voted| voted.vote.answer == answer),
        }
    }
}

/// "That fixed it": counts the move.
///
/// # Errors
/// [`PageError`]; 429 for an address that presses too often.
pub async fn recover(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let form = form::read(&request, payload, &state.uploads)
        .await
        .map_err(PageError)?;
    let field = |name: &str| form.fields.get(name).map(String::as_str);
    let step = RecoveryStep::ALL
        .into_iter()
        .find(|step| Some(step.as_str()) == field("step"));
    let step = step.ok_or_else(|| unknown("step"))?;
    let kind = ReportKind::ALL
        .into_iter()
        .find(|kind| Some(kind.as_str()) == field("kind"));
    check_pace(&request, &state)?;
    let mut conn = state.pool.acquire().await?;
    let today = state.clock.now().date_naive();
    help::count_recovery(&mut conn, today, kind.unwrap_or(ReportKind::Other), step).await?;
    Ok(SolvedPage::answer())
}

/// Counts a vote, or keeps the line to one that was counted; what then stands in the place of the question.
///
/// # Errors
/// [`PageError`]; 429 for an address that presses too often.
pub async fn vote(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let form = form::read(&request, payload, &state.uploads)
        .await
        .map_err(PageError)?;
    let vote = form.fields.get("vote").and_then(|text| Vote::parse(text));
    let vote = vote.ok_or_else(|| unknown("vote"))?;
    let note = form.fields.get("note").map(String::as_str);
    let voted = count(&request, &state, vote, note).await?;
    let fragment = HelpfulFragment::new(&Frame::public(), vote.answer, Some(voted));
    Ok(html(StatusCode::OK, &fragment))
}

/// The line to a vote, of the whole form. Each answer has a field of its own, since all are of one form.
#[must_use]
pub fn note_of(fields: &Fields, vote: Vote) -> &str {
    let name = format!("note-{}", vote.answer.as_str());
    fields.get(&name).map(String::as_str).unwrap_or_default()
}

/// Counts a vote; with a `note`, keeps that alone, since the vote was counted before.
///
/// # Errors
/// [`Problem`]; 429 for an address that presses too often.
pub async fn count(
    request: &HttpRequest,
    state: &AppState,
    vote: Vote,
    note: Option<&str>,
) -> Result<Voted, Problem> {
    check_pace(request, state)?;
    let mut conn = state.pool.acquire().await?;
    let now = state.clock.now();
    let Some(note) = note else {
        help::count_vote(&mut conn, now.date_naive(), vote).await?;
        let has_note = false;
        return Ok(Voted { vote, has_note });
    };
    let words = reader::current().words;
    let has_note = help::keep_note(&mut conn, vote, note, words.tag(), now).await?;
    Ok(Voted { vote, has_note })
}

fn check_pace(request: &HttpRequest, state: &AppState) -> Result<(), Problem> {
    let peer = limit_key(client_ip(request, &state.config.trusted_proxies));
    state.limits.click.check(&peer)
}

fn unknown(field: &str) -> Problem {
    let detail = format!("The field {field} is not one of those that the page has.");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
