//! Makes the content of a mail at the time it is sent: reads ticket, link and trace as they are then.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::lost;
use super::notice::Notice;
use super::reporter_mail::{About, PlainMail};
use super::state::{LinkOrigin, LinkState};
use super::store::{self, Link};
use crate::clock::Clock;
use crate::config::BaseUrl;
use crate::content::{Content, Words};
use crate::failure_rule::FailureRules;
use crate::http::view::When;
use crate::outbox::deliver::RenderError;
use crate::outbox::message::MailContent;
use crate::outbox::store::{Claimed, MailKind};
use crate::tickets::attachment;
use crate::tickets::conversation::{self, Audience};
use crate::tickets::status::TicketStatus;
use crate::tickets::store::{self as tickets, Ticket};
use crate::token::Token;
use crate::traces::assemble::RawTrace;
use crate::traces::failure::Failure;
use crate::traces::store as traces;
use crate::traces::trace::Trace;

/// What rendering needs. Cheap to clone.
#[derive(Clone)]
pub struct Renderer {
    /// The database.
    pub pool: PgPool,
    /// Under which links stand.
    pub base_url: BaseUrl,
    /// What reporters read.
    pub content: Arc<Content>,
    /// The operator's rules for failure classes.
    pub rules: Arc<FailureRules>,
    /// The time.
    pub clock: Clock,
    /// Bounds the memory of reading large traces.
    pub readers: Arc<Semaphore>,
}

/// Renders a claimed mail.
///
/// # Errors
/// [`RenderError`]; the mail is tried again later.
pub async fn render(renderer: Renderer, mail: Claimed) -> Result<MailContent, RenderError> {
    match mail.kind {
        MailKind::StaffNotice => staff_notice(&renderer, &mail).await,
        MailKind::LostLinks => lost_links(&renderer, &mail).await,
        _ => plain(&renderer, &mail).await,
    }
}

/// As all mails to reporters, it brings links of its own, here one a ticket.
async fn lost_links(renderer: &Renderer, mail: &Claimed) -> Result<MailContent, RenderError> {
    let mut conn = renderer.pool.acquire().await?;
    let newest = tickets::find(&mut conn, mail.ticket_id)
        .await?
        .ok_or_else(gone)?;
    let words = renderer.content.words(&newest.language);
    let mut links = Vec::new();
    for ticket in lost::open_tickets(&mut conn, &mail.recipient).await? {
        let link = fresh_link(renderer, &mut conn, ticket.id).await?;
        let when = moment(renderer, ticket.created_at, words);
        let text = words.mails.links_one.fill(&[
            ("reference", &ticket.reference),
            ("kind", &kind_in_words(&ticket.kind, words)),
            ("when", &when),
        ]);
        links.push((text, link));
    }
    Ok(PlainMail::lost_links(words, links, &renderer.base_url.join("/")).render()?)
}

fn moment(renderer: &Renderer, at: DateTime<Utc>, words: &Words) -> String {
    When::for_reader(at, renderer.clock.now(), words).full
}

/// Of a reporter's first link only a hash is kept, so each mail brings one of its own.
async fn fresh_link(
    renderer: &Renderer,
    conn: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<String, sqlx::Error> {
    let token = Token::generate();
    tickets::add_token(conn, ticket_id, token.hash, renderer.clock.now()).await?;
    Ok(renderer.base_url.join(&format!("/t/{}", token.text)))
}

/// What was received, without any word that the reporter chose.
async fn facts_of(
    renderer: &Renderer,
    conn: &mut PgConnection,
    ticket: &Ticket,
    link: Option<&Link>,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let shots = attachment::of_ticket(conn, ticket.id, Audience::Reporter).await?;
    // As stated: which trace was found for a report without an ID is not what was received.
    let stated = link.filter(|link| link.origin == LinkOrigin::Stated);
    let words = renderer.content.words(&ticket.language);
    let mails = &words.mails;
    let facts = [
        (&mails.fact_reference, Some(ticket.reference.clone())),
        (
            &mails.fact_kind,
            Some(kind_in_words(&ticket.kind, words).to_owned()),
        ),
        (
            &mails.fact_when,
            Some(moment(renderer, ticket.occurred_at, words)),
        ),
        (
            &mails.fact_trace,
            stated.and_then(Link::trace).map(|id| id.to_string()),
        ),
        (
            &mails.fact_screenshots,
            (!shots.is_empty()).then(|| shots.len().to_string()),
        ),
    ];
    let known = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name.clone(), value?)));
    Ok(known.collect())
}

async fn plain(renderer: &Renderer, mail: &Claimed) -> Result<MailContent, RenderError> {
    let (kind, ticket_id) = (mail.kind, mail.ticket_id);
    let mut conn = renderer.pool.acquire().await?;
    let ticket = tickets::find(&mut conn, ticket_id)
        .await?
        .ok_or_else(gone)?;
    let found = store::find(&mut conn, ticket_id).await?;
    let message = match mail.message {
        Some(id) => conversation::message_body(&mut conn, id)
            .await?
            .unwrap_or_default(),
        None => String::new(),
    };
    let link = if kind == MailKind::ReplyNotice {
        renderer
            .base_url
            .join(&format!("/desk/tickets/{ticket_id}"))
    } else {
        fresh_link(renderer, &mut conn, ticket_id).await?
    };
    let about = About {
        reference: &ticket.reference,
        action: &ticket.action,
        link: &link,
    };
    let words = renderer.content.words(&ticket.language);
    let failure = found.as_ref().and_then(|link| {
        let (class, rule) = (link.failure_class?, link.failure_rule.as_deref());
        Some((class, renderer.rules.advice_in(words, class, rule)))
    });
    let mail = match kind {
        MailKind::StaffNotice | MailKind::LostLinks | MailKind::ReportReceived => {
            let facts = facts_of(renderer, &mut conn, &ticket, found.as_ref()).await?;
            PlainMail::received(about, words, facts, failure)
        }
        MailKind::Answered => PlainMail::answered(
            about,
            words,
            &message,
            ticket.status == TicketStatus::Solved,
        ),
        MailKind::Solved => PlainMail::solved(about, words),
        MailKind::ReplyNotice => PlainMail::reply_notice(about, &message),
    };
    Ok(mail.render()?)
}

fn gone() -> RenderError {
    RenderError::Content("the ticket is gone".to_owned())
}

async fn staff_notice(renderer: &Renderer, mail: &Claimed) -> Result<MailContent, RenderError> {
    let mut conn = renderer.pool.acquire().await?;
    let ticket = tickets::find(&mut conn, mail.ticket_id)
        .await?
        .ok_or_else(gone)?;
    let link = store::find(&mut conn, mail.ticket_id)
        .await?
        .ok_or_else(gone)?;
    let stored = match link.trace().filter(|_| link.state == LinkState::Linked) {
        Some(trace_id) => traces::find(&mut conn, trace_id)
            .await?
            .map(|stored| (trace_id, stored)),
        None => None,
    };
    drop(conn);
    let read = match stored {
        Some((trace_id, stored)) => {
            let turn = Arc::clone(&renderer.readers).acquire_owned().await;
            let rules = Arc::clone(&renderer.rules);
            let reading = tokio::task::spawn_blocking(move || {
                let _until_the_end = turn;
                read(&RawTrace::unpack(trace_id, &stored)?, &rules)
            });
            match reading.await {
                Ok(Ok(read)) => Some(read),
                // Staff must hear of the report all the same.
                failed => {
                    let error = failed.map_or_else(
                        |error| error.to_string(),
                        |read| {
                            read.err()
                                .map_or_else(String::new, |error| error.to_string())
                        },
                    );
                    tracing::error!(error, ticket.id = %mail.ticket_id, "A ticket's trace could not be read for its mail");
                    None
                }
            }
        }
        None => None,
    };
    let notice = Notice {
        reference: &ticket.reference,
        action: &ticket.action,
        page_url: &ticket.page_url,
        occurred_at: ticket.occurred_at,
        created_at: ticket.created_at,
        kind: kind_label(&ticket.kind),
        tried: &ticket.tried,
        email: ticket.email.as_deref(),
        link: link.state,
        trace_id: Link::trace(&link),
        failure: read.as_ref().and_then(|(_, failure)| failure.as_ref()),
        trace: read.as_ref().map(|(trace, _)| trace),
        desk_url: &renderer
            .base_url
            .join(&format!("/desk/tickets/{}", ticket.id)),
    };
    Ok(notice.render()?)
}

fn read(
    raw: &RawTrace,
    rules: &FailureRules,
) -> Result<(Trace, Option<Failure>), crate::traces::assemble::ReadError> {
    Ok((raw.assemble()?, raw.failure(rules)?))
}

fn kind_in_words<'a>(kind: &str, words: &'a Words) -> &'a str {
    let kinds = &words.kinds;
    match kind {
        "chat" => &kinds.chat,
        "upload" => &kinds.upload,
        "workflow" => &kinds.workflow,
        "api" => &kinds.api,
        _ => &kinds.other,
    }
}

fn kind_label(kind: &str) -> &'static str {
    match kind {
        "chat" => "Chat",
        "upload" => "Upload",
        "workflow" => "Workflow",
        "api" => "API",
        _ => "Something else",
    }
}
