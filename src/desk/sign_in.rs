//! The way into the desk and out of it.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use url::{Position, Url};

use super::sign_in_page::SignInPage;
use crate::access::extract::{self, StaffError, StaffForm};
use crate::access::{password, session, store};
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult};
use crate::http::form::parse_form;
use crate::http::page::{Frame, Switch, html};
use crate::state::AppState;
use crate::token::{self, Token};

/// Said of a wrong password and of an unknown address alike.
const WRONG: &str = "This address and password do not match. Check both and try again.";

/// The query of the page.
#[derive(Debug, Deserialize)]
pub struct SignInQuery {
    next: Option<String>,
}

#[derive(Deserialize)]
struct SignInFields {
    email: String,
    password: SecretString,
    #[serde(default)]
    next: String,
}

/// Shows the form.
///
/// # Errors
/// [`PageError`].
pub async fn show(query: web::Query<SignInQuery>) -> PageResult {
    let next = below_desk(query.next.as_deref().unwrap_or_default());
    Ok(html(StatusCode::OK, &page(String::new(), None, next)))
}

/// Begins a session.
///
/// # Errors
/// [`PageError`].
pub async fn sign_in(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> PageResult {
    let body = extract::read_form(std::future::ready(Ok(payload))).await?;
    let fields: SignInFields = parse_form(&body)?;
    let next = below_desk(&fields.next);
    throttle(&request, &state, &fields.email)?;
    let email = fields.email.trim().replace('\0', "");
    let person = store::find_staff(&mut *state.pool.acquire().await?, &email).await?;
    let hash = person.as_ref().map(|person| person.password_hash.clone());
    let is_right = password::verify(fields.password, hash).await;
    let Some(person) = person.filter(|_| is_right) else {
        tracing::info!("A sign-in failed");
        return Ok(html(
            StatusCode::UNPROCESSABLE_ENTITY,
            &page(email, Some(WRONG.to_owned()), next),
        ));
    };
    let (token, csrf, now) = (Token::generate(), Token::generate(), state.clock.now());
    let mut conn = state.pool.acquire().await?;
    store::insert_session(
        &mut conn,
        token.hash,
        person.id,
        &csrf.text,
        now,
        now + session::lifetime(),
    )
    .await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, next))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .cookie(session::cookie(&state.config.base_url, token.text))
        .finish())
}

/// Ends the session.
///
/// # Errors
/// [`StaffError`].
pub async fn sign_out(
    request: HttpRequest,
    _form: StaffForm<Vec<(String, String)>>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let base_url = &state.config.base_url;
    if let Some(cookie) = request.cookie(session::cookie_name(base_url)) {
        store::delete_session(
            &mut *state.pool.acquire().await?,
            token::hash(cookie.value()),
        )
        .await?;
    }
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/desk/sign-in"))
        .cookie(session::removal_cookie(base_url))
        .finish())
}

fn throttle(request: &HttpRequest, state: &AppState, email: &str) -> Result<(), PageError> {
    let peer = limit_key(client_ip(request, &state.config.trusted_proxies));
    state.limits.sign_in_from.check(&peer)?;
    // Hashed, so that no key is longer than another.
    let person = hex::encode(token::hash(&email.trim().to_lowercase()));
    Ok(state.limits.sign_in_to.check(&person)?)
}

/// A page to go to afterwards: of this desk, never of another site. Read as a browser would read it, dots resolved.
fn below_desk(next: &str) -> String {
    let here = Url::parse("http://here.invalid/").ok();
    let target = here.and_then(|here| {
        let target = here.join(next).ok()?;
        (target.origin() == here.origin()).then_some(target)
    });
    match target {
        Some(target) if target.path() == "/desk" || target.path().starts_with("/desk/") => {
            target[Position::BeforePath..].to_owned()
        }
        _ => "/desk".to_owned(),
    }
}

fn page(email: String, error: Option<String>, next: String) -> SignInPage {
    SignInPage {
        frame: Frame::public().with_switch(Switch::Off),
        email,
        error,
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_in_the_desk() {
        for page in ["/desk", "/desk?cursor=x", "/desk/tickets/7?x=1#spans"] {
            assert_eq!(below_desk(page), page);
        }
        assert_eq!(below_desk("/desk/\r\nX: y"), "/desk/X:%20y");
        for elsewhere in [
            "",
            "/",
            "//evil.example/desk",
            "https://evil.example/desk",
            "\\\\evil.example\\desk",
            "javascript:alert(1)",
            "/deskx",
            "/desk/../t/x",
            "/desk/%2e%2e//evil.example",
        ] {
            assert_eq!(below_desk(elsewhere), "/desk", "{elsewhere}");
        }
    }
}
