//! `GET /desk/mail`: the outbox, and sending again what failed.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::mail_page::{MailPage, MailRow, MailState, Transport};
use super::ticket::NoFields;
use crate::access::extract::{Staff, StaffError, StaffForm};
use crate::config::Config;
use crate::http::cursor;
use crate::http::error::Problem;
use crate::http::page::{Frame, Section, html};
use crate::http::view::When;
use crate::outbox::listed::{self, Mail};
use crate::outbox::mailer::MAIL_FOLDER;
use crate::outbox::store;
use crate::state::AppState;

/// Mails in a page.
const PAGE_ROWS: usize = 50;

/// The query of the page; what can't be read shows the start.
#[derive(Debug, Deserialize)]
pub struct MailQuery {
    before: Option<String>,
}

/// Shows mails, newest first.
///
/// # Errors
/// [`StaffError`].
pub async fn show(
    staff: Staff,
    query: web::Query<MailQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let before = query.before.as_deref().and_then(cursor::decode);
    let mut conn = state.pool.acquire().await?;
    let limit = i64::try_from(PAGE_ROWS + 1).unwrap_or(i64::MAX);
    let mut mails = listed::recent(&mut conn, before, limit).await?;
    let has_more = mails.len() > PAGE_ROWS;
    mails.truncate(PAGE_ROWS);
    let older = mails
        .last()
        .filter(|_| has_more)
        .map(|last| cursor::encode(last.created_at, last.id));
    let now = state.clock.now();
    let page = MailPage {
        frame: Frame::desk(staff.viewer(), Section::Mail),
        rows: mails.into_iter().map(|mail| row(mail, now)).collect(),
        is_first: before.is_none(),
        older,
        transport: transport(&state.config),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Queues a failed mail again.
///
/// # Errors
/// [`StaffError`].
pub async fn resend(
    path: web::Path<String>,
    _form: StaffForm<NoFields>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let id = Uuid::parse_str(&path)
        .map_err(|_not_an_id| Problem::not_found("There is no mail of this ID."))?;
    // A mail that did not fail, or not any more, needs nothing.
    store::requeue(&mut *state.pool.acquire().await?, id).await?;
    state.outbox_wake.notify_one();
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/desk/mail"))
        .finish())
}

fn row(mail: Mail, now: DateTime<Utc>) -> MailRow {
    let state = match mail.state {
        _ if mail.is_held() => MailState::Held,
        state => MailState::from(state),
    };
    MailRow {
        resend_href: format!("/desk/mail/{}/resend", mail.id),
        state,
        recipient: mail.recipient,
        kind: mail.kind.label().to_owned(),
        ticket_href: format!("/desk/tickets/{}", mail.ticket_id),
        reference: mail.reference,
        attempts: mail.attempts,
        last_response: mail.last_response,
        created: When::new(mail.created_at, now),
        due: (matches!(state, MailState::Queued | MailState::Held))
            .then(|| When::new(mail.due_at, now)),
    }
}

/// Where mails go, without the password.
fn transport(config: &Config) -> Transport {
    let url = config
        .smtp_url
        .as_ref()
        .and_then(|url| Url::parse(url.expose_secret()).ok());
    match url {
        Some(url) => {
            let port = url
                .port()
                .map_or_else(String::new, |port| format!(":{port}"));
            Transport::Smtp(format!("{}{port}", url.host_str().unwrap_or_default()))
        }
        None => Transport::Files(config.data_dir.join(MAIL_FOLDER).display().to_string()),
    }
}
