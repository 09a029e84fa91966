//! `GET` and `POST /lost`: mails the links of an address's open reports. The answer is the same for every address.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use super::report;
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::PageResult;
use crate::http::form;
use crate::http::page::{Frame, html};
use crate::links::lost;
use crate::state::AppState;

/// The page.
#[derive(Debug, Default, Template)]
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

/// Shows the page.
///
/// # Errors
/// None.
pub async fn show() -> PageResult {
    Ok(html(StatusCode::OK, &LostPage::default()))
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
    let refused = |status, error: String| {
        let page = LostPage {
            email: typed.clone(),
            error: Some(error),
            ..LostPage::default()
        };
        Ok(html(status, &page))
    };
    if let Err(problem) = state.limits.lost.check(&peer) {
        return refused(problem.status(), problem.detail().to_owned());
    }
    let email = match report::email(&typed) {
        Ok(Some(email)) => email,
        Ok(None) => {
            let error = "Give the mail address that you sent your report with.".to_owned();
            return refused(StatusCode::UNPROCESSABLE_ENTITY, error);
        }
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    let mut conn = state.pool.acquire().await?;
    lost::ask(&mut conn, &email, state.clock.now()).await?;
    let page = LostPage {
        email,
        is_sent: true,
        ..LostPage::default()
    };
    Ok(html(StatusCode::OK, &page))
}
