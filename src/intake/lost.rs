//! `GET` and `POST /lost`: mails the links of an address's open reports. The answer is the same for every address.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use super::report;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::PageResult;
use crate::http::form;
use crate::http::page::{Frame, html};
use crate::http::reader;
use crate::links::lost;
use crate::state::AppState;

/// The page.
#[derive(Debug, Template)]
#[template(path = "intake/lost.html")]
pub struct LostPage {
    /// The frame.
    pub frame: Frame,
    /// What was typed.
    pub email: String,
    /// Why it was refused.
    pub error: Option<String>,
    /// Whether the request was taken.
    pub is_sent: bool,
}

impl LostPage {
    fn new(email: String) -> Self {
        Self {
            frame: Frame::public(),
            email,
            error: None,
            is_sent: false,
        }
    }

    fn sent_text(&self) -> String {
        let text = &self.frame.words.lost.sent_text;
        text.fill(&[("email", &self.email)])
    }
}

/// Shows the page.
///
/// # Errors
/// None.
pub async fn show() -> PageResult {
    Ok(html(StatusCode::OK, &LostPage::new(String::new())))
}

/// Takes a request.
///
/// # Errors
/// [`crate::http::error::PageError`].
pub async fn ask(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let form = form::read(&request, payload, &state.uploads).await?;
    let typed = form.fields.get("email").cloned().unwrap_or_default();
    let peer = limit_key(client_ip(&request, &state.config.trusted_proxies));
    let words = reader::current().words;
    let refused = |status, error: String| {
        let page = LostPage {
            error: Some(error),
            ..LostPage::new(typed.clone())
        };
        Ok(html(status, &page))
    };
    if let Err(problem) = state.limits.lost.check(&peer) {
        return refused(problem.status(), problem.in_words(&words));
    }
    let email = match report::email(&typed) {
        Ok(Some(email)) => email,
        Ok(None) => {
            let error = words.errors.email_missing.clone();
            return refused(StatusCode::UNPROCESSABLE_ENTITY, error);
        }
        Err(refusal) => {
            return refused(StatusCode::UNPROCESSABLE_ENTITY, refusal.in_words(&words));
        }
    };
    let mut conn = state.pool.acquire().await?;
    lost::ask(&mut conn, &email, state.clock.now()).await?;
    let page = LostPage {
        is_sent: true,
        ..LostPage::new(email)
    };
    Ok(html(StatusCode::OK, &page))
}
