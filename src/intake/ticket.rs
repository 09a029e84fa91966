//! The ticket as its reporter sees it: `GET /t/{token}`, `POST /t/{token}/replies`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::drafts;
use super::fields::{self, Fields};
use super::refusal::message_in_words;
use super::ticket_page::{PublicLink, PublicTicketPage};
use crate::content::Words;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem, Reason};
use crate::http::page::{Frame, html};
use crate::http::picture::serve_picture;
use crate::http::reader;
use crate::http::view::{MessageView, ReplyForm, When};
use crate::links::conversation;
use crate::links::state::LinkState;
use crate::links::store::{self as links, Link};
use crate::state::AppState;
use crate::tickets::attachment;
use crate::tickets::attachment_view::ScreenshotView;
use crate::tickets::message::message_body;
use crate::tickets::status::TicketStatus;
use crate::tickets::store::{self as tickets, Message, MessageAuthor, Ticket};
use crate::token;
use crate::traces::failure::FailureClass;
use crate::traces::store as traces;

/// Shows the ticket to whoever has its link.
///
/// # Errors
/// [`PageError`].
pub async fn show(
    path: web::Path<String>,
    query: web::Query<Fields>,
    state: web::Data<AppState>,
) -> PageResult {
    let ticket_id = find(&state, &path).await?;
    let mut page = page_of(&state, &path, ticket_id).await?;
    page.is_new = query.contains_key("sent");
    Ok(html(StatusCode::OK, &page))
}

/// "It works again": the reporter closes the ticket.
///
/// # Errors
/// [`PageError`].
pub async fn close(path: web::Path<String>, state: web::Data<AppState>) -> PageResult {
    let ticket_id = find(&state, &path).await?;
    let mut conn = state.pool.acquire().await?;
    tickets::set_status(
        &mut conn,
        ticket_id,
        TicketStatus::Solved,
        None,
        state.clock.now(),
    )
    .await?;
    let page = state.config.base_url.join(&format!("/t/{path}"));
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, page))
        .finish())
}

/// `GET /t/{token}/screenshots/{id}`.
///
/// # Errors
/// [`PageError`].
pub async fn screenshot(path: web::Path<(String, Uuid)>, state: web::Data<AppState>) -> PageResult {
    let (token, id) = path.into_inner();
    let ticket_id = find(&state, &token).await?;
    let picture = attachment::picture(&mut *state.pool.acquire().await?, ticket_id, id).await?;
    let picture = picture.ok_or_else(drafts::missing)?;
    Ok(serve_picture(picture.media_type, picture.content))
}

/// Adds what the reporter wrote; a solved ticket opens again.
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
    state.limits.report.check(&limit_key(client_ip(
        &request,
        &state.config.trusted_proxies,
    )))?;
    let form = fields::read(&request, payload, &state.uploads)
        .await
        .map_err(PageError)?;
    let typed = form
        .fields
        .get("body")
        .map(String::as_str)
        .unwrap_or_default();
    let body = match message_body(typed) {
        Ok(body) => body,
        Err(error) => {
            let mut page = page_of(&state, &path, ticket_id).await?;
            page.reply = ReplyForm {
                body: typed.to_owned(),
                error: Some(message_in_words(error, &page.frame.words)),
            };
            return Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page));
        }
    };
    let mut conn = state.pool.acquire().await?;
    conversation::reply(
        &mut conn,
        &state.config,
        ticket_id,
        &body,
        state.clock.now(),
    )
    .await?;
    state.outbox_wake.notify_one();
    let page = state
        .config
        .base_url
        .join(&format!("/t/{path}#conversation"));
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, page))
        .finish())
}

async fn find(state: &AppState, token: &str) -> Result<Uuid, PageError> {
    let found =
        tickets::find_by_token(&mut *state.pool.acquire().await?, token::hash(token)).await?;
    Ok(found.ok_or_else(missing)?)
}

fn missing() -> Problem {
    Problem::not_found("This link opens no report.").with_reason(Reason::NoReport)
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
    let messages = tickets::messages(&mut conn, ticket_id).await?;
    let screenshots = attachment::of_ticket(&mut conn, ticket_id).await?;
    let started = match link.trace().filter(|_| link.state == LinkState::Linked) {
        Some(trace_id) => traces::pinned_start(&mut conn, trace_id).await?,
        None => None,
    };
    let now = state.clock.now();
    let words = reader::current().words_for(&state.config.content, &ticket.language);
    let started = started.map(|time| When::for_reader(time, now, &words));
    let href = format!("/t/{token}");
    let url = state.config.base_url.join(&href);
    let failure = link.failure_class.map(|class| {
        let rules = &state.config.failure_rules;
        let advice = rules.advice_in(&words, class, link.failure_rule.as_deref());
        (class, advice.to_owned())
    });
    let found = Found { started, failure };
    let shots = ScreenshotView::list(&format!("{href}/screenshots"), &screenshots);
    let mut page = build(href, url, ticket, &link, found, messages, (words, now));
    page.screenshots = shots;
    Ok(page)
}

/// What the linked trace tells.
struct Found {
    started: Option<When>,
    failure: Option<(FailureClass, String)>,
}

fn build(
    href: String,
    url: String,
    ticket: Ticket,
    link: &Link,
    found: Found,
    messages: Vec<Message>,
    (words, now): (Words, DateTime<Utc>),
) -> PublicTicketPage {
    let occurred = When::for_reader(ticket.occurred_at, now, &words);
    PublicTicketPage {
        href,
        url,
        reference: ticket.reference,
        status: ticket.status,
        action: ticket.action,
        page_url: ticket.page_url,
        created: When::for_reader(ticket.created_at, now, &words),
        email: ticket.email,
        link: match link.state {
            LinkState::None => PublicLink::None,
            LinkState::Waiting => PublicLink::Waiting,
            LinkState::Missing => PublicLink::Missing,
            LinkState::Linked => PublicLink::Linked {
                started: found.started.unwrap_or_else(|| occurred.clone()),
                failure: found.failure,
            },
        },
        occurred,
        messages: messages
            .into_iter()
            .map(|message| message_view(message, &words, now))
            .collect(),
        reply: ReplyForm::default(),
        screenshots: Vec::new(),
        is_new: false,
        frame: Frame::in_words(words),
    }
}

fn message_view(message: Message, words: &Words, now: DateTime<Utc>) -> MessageView {
    let is_staff = message.author == MessageAuthor::Staff;
    MessageView {
        author: if is_staff {
            words.ticket.support.clone()
        } else {
            words.ticket.you.clone()
        },
        is_staff,
        body: message.body,
        sent: When::for_reader(message.created_at, now, words),
    }
}
