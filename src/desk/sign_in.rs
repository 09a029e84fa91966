//! The way into the desk and out of it.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;

use super::sign_in_page::SignInPage;
use crate::access::extract::{self, StaffError, StaffForm};
use crate::access::{password, session, store};
use crate::http::client_ip::{client_ip, limit_key};
use crate::http::error::{PageError, PageResult, Problem};
use crate::http::page::{Frame, html};
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
    let fields: SignInFields = extract::parse_form(&body)?;
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
    let keys = [
        format!("from {peer}"),
        format!("to {}", email.trim().to_lowercase()),
    ];
    state.sign_in_throttle.check(keys).map_err(|seconds| {
        let detail = format!("There were too many attempts. Try again in {seconds} seconds.");
        PageError(
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)),
        )
    })
}

/// A page to go to afterwards: of this desk, never of another site.
fn below_desk(next: &str) -> String {
    let is_ours = (next == "/desk" || next.starts_with("/desk/") || next.starts_with("/desk?"))
        && !next.contains(['\\', '\r', '\n'])
        && HeaderValue::from_str(next).is_ok();
    if is_ours {
        next.to_owned()
    } else {
        "/desk".to_owned()
    }
}

fn page(email: String, error: Option<String>, next: String) -> SignInPage {
    SignInPage {
        frame: Frame::public(),
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
        assert_eq!(below_desk("/desk/tickets/7?x=1"), "/desk/tickets/7?x=1");
        for elsewhere in [
            "",
            "//evil.example",
            "https://evil.example",
            "/desk\\@evil",
            "/deskx",
            "/desk/\r\nX: y",
        ] {
            assert_eq!(below_desk(elsewhere), "/desk", "{elsewhere}");
        }
    }
}
