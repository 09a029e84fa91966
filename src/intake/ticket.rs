//! The ticket as its reporter sees it: `GET /t/{token}`, `POST /t/{token}/replies`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::drafts;
use super::ticket_page::{PublicLink, PublicTicketPage};
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem};
use crate::http::form::{self, Fields};
use crate::http::page::{Frame, html};
use crate::http::picture::serve_picture;
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
    let form = form::read(&request, payload, &state.uploads)
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
                error: Some(error),
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
    Problem::not_found("This link opens no report.")
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
    let started = started.map(|time| When::new(time, now));
    let href = format!("/t/{token}");
    let url = state.config.base_url.join(&href);
    let shots = ScreenshotView::list(&format!("{href}/screenshots"), &screenshots);
    let mut page = build(href, url, ticket, &link, started, messages, now);
    page.screenshots = shots;
    Ok(page)
}

fn build(
    href: String,
    url: String,
    ticket: Ticket,
    link: &Link,
    started: Option<When>,
    messages: Vec<Message>,
    now: DateTime<Utc>,
) -> PublicTicketPage {
    let occurred = When::new(ticket.occurred_at, now);
    let status = ticket.status_for_reporter();
    PublicTicketPage {
        frame: Frame::public(),
        href,
        url,
        reference: ticket.reference,
        status,
        action: ticket.action,
        page_url: ticket.page_url,
        created: When::new(ticket.created_at, now),
        email: ticket.email,
        link: match link.state {
            LinkState::None => PublicLink::None,
            LinkState::Waiting => PublicLink::Waiting,
            LinkState::Missing => PublicLink::Missing,
            LinkState::Linked => PublicLink::Linked {
                started: started.unwrap_or_else(|| occurred.clone()),
                failure: link.failure_class,
            },
        },
        occurred,
        messages: messages
            .into_iter()
            .map(|message| message_view(message, now))
            .collect(),
        reply: ReplyForm::default(),
        screenshots: Vec::new(),
        is_new: false,
    }
}

fn message_view(message: Message, now: DateTime<Utc>) -> MessageView {
    let is_staff = message.author == MessageAuthor::Staff;
    MessageView {
        author: if is_staff { "Support" } else { "You" }.to_owned(),
        is_staff,
        body: message.body,
        sent: When::new(message.created_at, now),
    }
}
