//! The public form: `GET /` and `POST /tickets`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::embed::{Embedding, SentPage};
use super::finding;
use super::form_again::{after_vote, again, ask_again, check, not_now, not_whole, read_back};
use super::form_page::{FormPage, FormValues};
use super::form_time::occurred_at;
use super::guard::judge::{SEAL, Verdict, judge};
use super::guard::proof::Challenge;
use super::guard::seal;
use super::helped;
use super::open::{self, Origin, ReportSource};
use super::refusal::Refused;
use super::report::{RawReport, Report};
use crate::help::answer::Vote;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{ApiResult, PageError, PageResult, Problem};
use crate::http::form::{self, Fields, Form};
use crate::http::page::{Frame, html, public_html};
use crate::http::reader;
use crate::state::AppState;
use crate::tickets::drafts::{self, Drafts, FilesIntent};
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
    show_filled(&request, &state, prefilled(&query)).await
}

/// What a link fills in.
pub(super) fn prefilled(query: &Fields) -> FormValues {
    let mut values = values_of(query);
    if let Ok(at) = DateTime::parse_from_rfc3339(&values.occurred_at) {
        // As the picker has it; the page's script makes it the reporter's own time.
        "at".clone_into(&mut values.when);
        "0".clone_into(&mut values.utc_offset);
        values.occurred_at = at.to_utc().format("%Y-%m-%dT%H:%M").to_string();
    }
    values
}

/// The form with these values.
pub(super) async fn show_filled(
    request: &HttpRequest,
    state: &AppState,
    mut values: FormValues,
) -> PageResult {
    values.seal = fresh_seal(state).await;
    let read_back = read_back(&values.trace_id).ok();
    // The form is worth more than what can be said of the trace.
    let finding = finding::of_text(request, state, &values.trace_id)
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

/// `GET /challenge`: a proof of work for the form's script (ALTCHA's protocol).
///
/// # Errors
/// [`Problem`] when the database is away.
pub async fn challenge(state: web::Data<AppState>) -> ApiResult {
    let secret = state.secret.get(&state.pool, &state.clock).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Challenge::new(secret, state.clock.now())))
}

/// Says when the form was opened. Without the database it can't; the form is worth more than that.
async fn fresh_seal(state: &AppState) -> String {
    let secret = state.secret.get(&state.pool, &state.clock).await;
    secret.map_or_else(
        |_away| String::new(),
        |secret| seal::seal(secret, state.clock.now()),
    )
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
    match Embedding::of(&state, &values).await {
        Ok(Some(embedding)) => {
            let answer = answer(&request, &state, form, values, Some(&embedding)).await;
            Ok(embedding.frame(answer))
        }
        Ok(None) => answer(&request, &state, form, values, None).await,
        Err(problem) => {
            let token = draft_token(&form.fields);
            Ok(not_now(values, Drafts::unseen(token), &problem))
        }
    }
}

async fn answer(
    request: &HttpRequest,
    state: &AppState,
    form: Form,
    values: FormValues,
    embedding: Option<&Embedding>,
) -> PageResult {
    let intent = Intent::of(&form.fields);
    let peer = limit_key(client_ip(request, &state.config.trusted_proxies));
    if matches!(intent, Intent::Solved) {
        return finding::solved(request, state, &values.trace_id).await;
    }
    if let Err(problem) = within_limits(state, &peer) {
        return Ok(refused_for_now(state, form, &peer, &problem).await);
    }
    let (pool, now) = (&state.pool, state.clock.now());
    let token = draft_token(&form.fields).to_owned();
    let (drafts, error) = match drafts::keep(pool, now, &token, intent.removed(), form.files).await
    {
        Ok(kept) => kept,
        Err(problem) => return Ok(not_now(values, Drafts::unseen(&token), &problem)),
    };
    let sent = Sent {
        fields: form.fields,
        values,
        drafts,
        peer,
    };
    if let Some(trouble) = form.trouble {
        return Ok(not_whole(sent.values, sent.drafts, trouble));
    }
    let file_error = error.map(|refusal| Refused {
        field: "screenshots",
        refusal: refusal.into(),
    });
    match intent {
        Intent::Check => {
            let finding = finding::of_text(request, state, &sent.values.trace_id).await?;
            Ok(check(sent.values, sent.drafts, file_error, finding))
        }
        Intent::Files(_) => Ok(again(sent.values, sent.drafts, file_error.as_slice())),
        Intent::Vote(vote) | Intent::Note(vote) => {
            let note = helped::note_of(&sent.fields, vote);
            let note = matches!(intent, Intent::Note(_)).then_some(note);
            match helped::count(request, state, vote, note).await {
                Ok(voted) => Ok(after_vote(sent.values, sent.drafts, voted)),
                Err(problem) => Ok(not_now(sent.values, sent.drafts, &problem)),
            }
        }
        Intent::Send | Intent::Solved => send(state, sent, file_error, embedding).await,
    }
}

/// A form as it came, its files kept.
struct Sent {
    fields: Fields,
    values: FormValues,
    drafts: Drafts,
    /// Whom limits count.
    peer: String,
}

fn draft_token(fields: &Fields) -> &str {
    fields.get("draft").map(String::as_str).unwrap_or_default()
}

fn within_limits(state: &AppState, peer: &str) -> Result<(), Problem> {
    state.limits.report.check(peer)?;
    state.limits.report_all.check("all")
}

/// Too many came: what was typed is given back, and the pictures are kept as far as that is cheap.
async fn refused_for_now(
    state: &AppState,
    form: Form,
    peer: &str,
    problem: &Problem,
) -> HttpResponse {
    let values = values_of(&form.fields);
    let token = draft_token(&form.fields);
    let is_cheap = form.files.is_empty() || state.limits.keep_files.check(peer).is_ok();
    let files = if is_cheap { form.files } else { Vec::new() };
    let kept = drafts::keep(&state.pool, state.clock.now(), token, None, files).await;
    let drafts = kept.map_or_else(|_away| Drafts::unseen(token), |(drafts, _)| drafts);
    not_now(values, drafts, problem)
}

async fn send(
    state: &AppState,
    sent: Sent,
    file_error: Option<Refused>,
    embedding: Option<&Embedding>,
) -> PageResult {
    let Sent {
        fields,
        values,
        drafts,
        peer,
    } = sent;
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
    let spam_signs = match judge(state, &fields, &peer).await {
        Ok(Verdict::Take(signs)) => signs,
        Ok(Verdict::Stale) => return stale(state, values, drafts).await,
        Err(problem) => return Ok(not_now(values, drafts, &problem)),
    };
    let origin = Origin {
        source: ReportSource::Form,
        account_id: embedding.map(|embedding| embedding.account_id),
        draft_hash: drafts.hash(),
        spam_signs,
        language: reader::current().words.tag().to_owned(),
        tried: values.tried.clone(),
    };
    let opened = match open::open_ticket(state, &report, &origin).await {
        Ok(opened) => opened,
        Err(problem) => return Ok(not_now(values, drafts, &problem)),
    };
    open::look_for_trace(state, &report, &opened).await;
    let url = state.config.base_url.join(&format!("/t/{}", opened.token));
    if let Some(embedding) = embedding {
        // The page that the link leads to is nobody's to frame.
        let page = SentPage {
            frame: Frame::public(),
            reference: opened.reference.as_str().to_owned(),
            url,
            origin: embedding.origin.clone(),
        };
        return Ok(html(StatusCode::OK, &page));
    }
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("{url}?sent=1")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

/// The form lay open for longer than we can vouch for it.
async fn stale(state: &AppState, mut values: FormValues, drafts: Drafts) -> PageResult {
    let secret = state.secret.get(&state.pool, &state.clock).await?;
    values.seal = seal::renewed(secret, state.clock.now());
    Ok(ask_again(values, drafts))
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
    Files(FilesIntent),
}

impl Intent {
    fn of(fields: &Fields) -> Self {
        match fields.get("intent").map(String::as_str) {
            Some("check") => Self::Check,
            Some("solved") => Self::Solved,
            // The switch of languages keeps the files too.
            Some("keep") => Self::Files(FilesIntent::Attach),
            Some(other) if let Some(vote) = vote_of(other, "vote-") => Self::Vote(vote),
            Some(other) if let Some(vote) = vote_of(other, "note-") => Self::Note(vote),
            _ => FilesIntent::of(fields).map_or(Self::Send, Self::Files),
        }
    }

    fn removed(&self) -> Option<Uuid> {
        match self {
            Self::Files(intent) => intent.removed(),
            _ => None,
        }
    }
}

fn vote_of(intent: &str, what: &str) -> Option<Vote> {
    intent.strip_prefix(what).and_then(Vote::parse)
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
        seal: field(SEAL),
        embed_key: field("embed_key"),
        embed_origin: field("embed_origin"),
        tried: RecoveryStep::ALL
            .into_iter()
            .filter(|step| fields.contains_key(&format!("tried-{}", step.as_str())))
            .collect(),
    }
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
