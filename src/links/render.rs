//! Makes the content of a mail at the time it is sent: reads ticket, link and trace as they are then.

use sqlx::PgPool;
use uuid::Uuid;

use super::notice::Notice;
use super::reporter_mail::{About, PlainMail};
use super::state::LinkState;
use super::store::{self, Link};
use crate::clock::Clock;
use crate::config::BaseUrl;
use crate::outbox::deliver::RenderError;
use crate::outbox::message::MailContent;
use crate::outbox::store::{Claimed, MailKind};
use crate::tickets::store::{self as tickets, MessageAuthor};
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
    /// The time.
    pub clock: Clock,
}

/// Renders a claimed mail.
///
/// # Errors
/// [`RenderError`]; the mail is tried again later.
pub async fn render(renderer: Renderer, mail: Claimed) -> Result<MailContent, RenderError> {
    match mail.kind {
        MailKind::StaffNotice => staff_notice(&renderer.pool, &renderer.base_url, &mail).await,
        kind => plain(&renderer, kind, mail.ticket_id).await,
    }
}

async fn plain(
    renderer: &Renderer,
    kind: MailKind,
    ticket_id: Uuid,
) -> Result<MailContent, RenderError> {
    let mut conn = renderer.pool.acquire().await?;
    let ticket = tickets::find(&mut conn, ticket_id)
        .await?
        .ok_or_else(gone)?;
    let failure = store::find(&mut conn, ticket_id)
        .await?
        .and_then(|link| link.failure_class);
    let wanted = if kind == MailKind::ReplyNotice {
        MessageAuthor::Reporter
    } else {
        MessageAuthor::Staff
    };
    let messages = tickets::messages(&mut conn, ticket_id).await?;
    let latest = messages
        .iter()
        .rev()
        .find(|message| message.author == wanted);
    let latest = latest
        .map(|message| message.body.as_str())
        .unwrap_or_default();
    let link = if kind == MailKind::ReplyNotice {
        renderer
            .base_url
            .join(&format!("/desk/tickets/{ticket_id}"))
    } else {
        // Of the first link only a hash is kept, so each mail brings one of its own.
        let token = Token::generate();
        tickets::add_token(&mut conn, ticket_id, token.hash, renderer.clock.now()).await?;
        renderer.base_url.join(&format!("/t/{}", token.text))
    };
    let about = About {
        reference: &ticket.reference,
        action: &ticket.action,
        link: &link,
    };
    let mail = match kind {
        MailKind::StaffNotice | MailKind::ReportReceived => PlainMail::received(about, failure),
        MailKind::Answered => PlainMail::answered(about, latest),
        MailKind::Solved => PlainMail::solved(about),
        MailKind::ReplyNotice => PlainMail::reply_notice(about, latest),
    };
    Ok(mail.render()?)
}

fn gone() -> RenderError {
    RenderError::Content("the ticket is gone".to_owned())
}

async fn staff_notice(
    pool: &PgPool,
    base_url: &BaseUrl,
    mail: &Claimed,
) -> Result<MailContent, RenderError> {
    let mut conn = pool.acquire().await?;
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
            let reading =
                tokio::task::spawn_blocking(move || read(&RawTrace::unpack(trace_id, &stored)?));
            let read = reading
                .await
                .map_err(|error| RenderError::Content(error.to_string()))?;
            Some(read.map_err(|error| RenderError::Content(error.to_string()))?)
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
        email: ticket.email.as_deref(),
        link: link.state,
        trace_id: Link::trace(&link),
        failure: read.as_ref().and_then(|(_, failure)| failure.as_ref()),
        trace: read.as_ref().map(|(trace, _)| trace),
        desk_url: &base_url.join(&format!("/desk/tickets/{}", ticket.id)),
    };
    Ok(notice.render()?)
}

fn read(raw: &RawTrace) -> Result<(Trace, Option<Failure>), crate::traces::assemble::ReadError> {
    Ok((raw.assemble()?, raw.failure()?))
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
