//! The ticket as its reporter sees it, `GET /t/{token}`, and what they do there: reply, close, say whether an answer
//! helped.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ETag, EntityTag, Header as _, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use uuid::Uuid;

use super::drafts;
use super::ticket_page::{PublicTicketPage, RateForm, TicketRows};
use crate::content::Words;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem, Reason};
use crate::http::form::{self, Fields};
use crate::http::page::html;
use crate::http::picture::serve_picture;
use crate::http::reader;
use crate::links::conversation;
use crate::links::state::LinkState;
use crate::links::store as links;
use crate::state::AppState;
use crate::tickets::attachment;
use crate::tickets::change::{Act, Outcome};
use crate::tickets::conversation::{Audience, Said, messages};
use crate::tickets::message_view::ReplyForm;
use crate::tickets::rating::Rating;
use crate::tickets::reply::{self, Verdict, text_of};
use crate::tickets::status::TicketStatus;
use crate::tickets::store as tickets;
use crate::token;
use crate::traces::store as traces;

/// Shows the ticket to whoever has its link. A browser that has the page as it is now is told so, which costs little: the
/// page asks again and again while it is looked at.
///
/// # Errors
/// [`PageError`].
pub async fn show(
    request: HttpRequest,
    path: web::Path<String>,
    query: web::Query<Fields>,
    state: web::Data<AppState>,
) -> PageResult {
    let ticket_id = find(&state, &path).await?;
    let stamp = links::stamp(&mut *state.pool.acquire().await?, ticket_id).await?;
    let tag = EntityTag::new_weak(stamp.unwrap_or_default());
    if is_known(&request, &tag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header(ETag(tag))
            .finish());
    }
    let mut page = page_of(&state, &path, ticket_id).await?;
    page.is_new = query.contains_key("sent");
    page.is_rated = query.contains_key("rated");
    page.tag = tag.to_string();
    let mut response = html(StatusCode::OK, &page);
    if let Ok(value) = header::HeaderValue::from_str(&page.tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}

fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        _ => false,
    }
}

/// "It works again": the reporter closes the ticket.
///
/// # Errors
/// [`PageError`].
pub async fn close(path: web::Path<String>, state: web::Data<AppState>) -> PageResult {
    let ticket_id = find(&state, &path).await?;
    let mut conn = state.pool.acquire().await?;
    let act = Act::new(ticket_id, None, state.clock.now());
    conversation::set_status(&mut conn, &state.config, &act, TicketStatus::Solved).await?;
    Ok(back_to(&state, &path, ""))
}

/// `GET /t/{token}/screenshots/{id}`.
///
/// # Errors
/// [`PageError`].
pub async fn screenshot(path: web::Path<(String, Uuid)>, state: web::Data<AppState>) -> PageResult {
    let (token, id) = path.into_inner();
    let ticket_id = find(&state, &token).await?;
    let mut conn = state.pool.acquire().await?;
    let picture = attachment::picture(&mut conn, ticket_id, id, Audience::Reporter).await?;
    let picture = picture.ok_or_else(drafts::missing)?;
    drop(conn);
    let (media_type, content) = state.blobs.open(picture).await?;
    Ok(serve_picture(media_type, content))
}

/// Adds what the reporter wrote, with its screenshots; a solved ticket opens again.
///
/// # Errors
/// [`PageError`].
pub async fn reply(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let ticket_id = find(&state, &path).await?;
    let form = form::read(&request, payload, &state.uploads).await?;
    let peer = limit_key(client_ip(&request, &state.config.trusted_proxies));
    // Pictures cost more than words: none are taken from who sends too much.
    let limited = state.limits.report.check(&peer).err();
    let words = words_of(&state, ticket_id).await?;
    let refusal = limited
        .as_ref()
        .map(|problem| format!("{} {}", problem.in_words(&words), words.errors.files_again));
    let once = Uuid::parse_str(text_of(&form.fields, "once")).ok();
    let act = Act {
        once,
        ..Act::new(ticket_id, None, state.clock.now())
    };
    let (reply, verdict) = reply::read(&state.pool, act.now, form, &words, refusal).await?;
    let status = match verdict {
        Verdict::Send(body) => return send(&state, &path, &act, &reply, &body).await,
        Verdict::Again => StatusCode::OK,
        Verdict::Refused => {
            limited.map_or(StatusCode::UNPROCESSABLE_ENTITY, |problem| problem.status())
        }
    };
    let mut page = page_of(&state, &path, ticket_id).await?;
    page.reply = reply;
    Ok(html(status, &page))
}

async fn send(
    state: &AppState,
    token: &str,
    act: &Act,
    reply: &ReplyForm,
    body: &str,
) -> PageResult {
    let said = Said {
        draft_hash: reply.drafts.hash(),
        ..Said::text(body)
    };
    let mut conn = state.pool.acquire().await?;
    if conversation::say(&mut conn, &state.config, act, &said).await? == Outcome::Gone {
        return Err(missing().into());
    }
    state.outbox_wake.notify_one();
    Ok(back_to(state, token, "#conversation"))
}

/// "Was this helpful?": the reporter judges an answer (`message`, its ID; `helpful`, yes or no; `line`).
///
/// # Errors
/// [`PageError`].
pub async fn rate(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let ticket_id = find(&state, &path).await?;
    let form = form::read(&request, payload, &state.uploads).await?;
    let text = |name| text_of(&form.fields, name);
    let peer = limit_key(client_ip(&request, &state.config.trusted_proxies));
    let words = words_of(&state, ticket_id).await?;
    let rating = match state.limits.click.check(&peer) {
        Ok(()) => Rating::parse(text("helpful"), text("line"))
            .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.in_words(&words))),
        Err(problem) => Err((problem.status(), problem.in_words(&words))),
    };
    let rating = match rating {
        Ok(rating) => rating,
        Err((status, error)) => {
            let mut page = page_of(&state, &path, ticket_id).await?;
            page.rate = page.rate.map(|rate| RateForm {
                line: text("line").to_owned(),
                error: Some(error),
                ..rate
            });
            return Ok(html(status, &page));
        }
    };
    let message_id = Uuid::parse_str(text("message")).unwrap_or_default();
    let act = Act::new(ticket_id, None, state.clock.now());
    let mut conn = state.pool.acquire().await?;
    if conversation::rate(&mut conn, &act, message_id, &rating).await? {
        return Ok(back_to(&state, &path, "?rated=1#rating"));
    }
    Ok(back_to(&state, &path, ""))
}

fn back_to(state: &AppState, token: &str, at: &str) -> HttpResponse {
    let page = state.config.base_url.join(&format!("/t/{token}{at}"));
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, page))
        .finish()
}

async fn find(state: &AppState, token: &str) -> Result<Uuid, PageError> {
    let found =
        tickets::find_by_token(&mut *state.pool.acquire().await?, token::hash(token)).await?;
    Ok(found.ok_or_else(missing)?)
}

fn missing() -> Problem {
    Problem::not_found("This link opens no report.").with_reason(Reason::NoReport)
}

/// The language of the ticket's pages.
async fn words_of(state: &AppState, ticket_id: Uuid) -> Result<Words, Problem> {
    let ticket = tickets::find(&mut *state.pool.acquire().await?, ticket_id).await?;
    let language = ticket.ok_or_else(missing)?.language;
    Ok(reader::current().words_for(&state.config.content, &language))
}

async fn page_of(
    state: &AppState,
    token: &str,
    ticket_id: Uuid,
) -> Result<PublicTicketPage, PageError> {
    let mut conn = state.pool.acquire().await?;
    let ticket = tickets::find(&mut conn, ticket_id)
        .await?
        .ok_or_else(missing)?;
    let link = links::find(&mut conn, ticket_id)
        .await?
        .ok_or_else(missing)?;
    let started_at = match link.trace().filter(|_| link.state == LinkState::Linked) {
        Some(trace_id) => traces::pinned_start(&mut conn, trace_id).await?,
        None => None,
    };
    let words = reader::current().words_for(&state.config.content, &ticket.language);
    let failure = link.failure_class.map(|class| {
        let rules = &state.config.failure_rules;
        let advice = rules.advice_in(&words, class, link.failure_rule.as_deref());
        (class, advice.to_owned())
    });
    let rows = TicketRows {
        ticket,
        link,
        failure,
        started_at,
        messages: messages(&mut conn, ticket_id, Audience::Reporter).await?,
        screenshots: attachment::of_ticket(&mut conn, ticket_id, Audience::Reporter).await?,
    };
    let href = format!("/t/{token}");
    let url = state.config.base_url.join(&href);
    let now = state.clock.now();
    Ok(PublicTicketPage::new(href, url, rows, words, now))
}
