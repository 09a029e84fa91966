//! Callers as arguments of handlers: a key with its scopes, a member of staff, a form that only they could send.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::api_key::{ApiKey, KeyKind, Scope};
use super::session;
use super::store::{self, KeyRow, SessionRow};
use crate::http::body;
use crate::http::error::{PageError, Problem};
use crate::http::form::parse_form;
use crate::http::page::{Frame, Viewer};
use crate::state::AppState;
use crate::token;

/// A desk form is a reply at most: 10,000 characters of 4 bytes, percent-encoded threefold, and room for the rest.
const MAX_FORM_BYTES: usize = 10_000 * 4 * 3 + 8 * 1024;

type Extracting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>>>>;

/// A program that brought a valid key.
#[derive(Debug, Clone)]
pub struct ApiCaller {
    key: KeyRow,
}

impl ApiCaller {
    /// The key.
    #[must_use]
    pub fn key_id(&self) -> Uuid {
        self.key.id
    }

    /// Whose key.
    #[must_use]
    pub fn account_id(&self) -> Uuid {
        self.key.account_id
    }

    /// The origins of the pages that may use the key; `None` for a key that is a secret.
    #[must_use]
    pub fn origins(&self) -> Option<&[String]> {
        self.key.origins.as_deref()
    }

    /// Goes on only with a key that may do this.
    ///
    /// # Errors
    /// 403 naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.key.scopes.contains(&scope) || self.key.scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        if self.origins().is_some() {
            let detail = "A publishable key (td_pub_) can only open tickets. Use a secret key here, and keep it out of pages.";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let detail = format!("This API key does not have the scope {}.", scope.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    #[tracing::instrument(name = "check API key", skip_all)]
    async fn extract(request: HttpRequest) -> Result<Self, Problem> {
        let key = bearer(&request)?;
        let state = state_of(&request)?;
        // The hash is the index's key: its comparison tells nothing to who can't choose the hash.
        let is_publishable = key.kind() == KeyKind::Publishable;
        let found = state.keys.find(key.hash()).await?;
        let found = found.filter(|found| found.origins.is_some() == is_publishable);
        let key =
            found.ok_or_else(|| unauthorized("This API key is not known, or was revoked."))?;
        store::note_key_used(&state.pool, &key, state.clock.now()).await?;
        Ok(Self { key })
    }
}

impl FromRequest for ApiCaller {
    type Error = Problem;
    type Future = Extracting<Self, Problem>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        Box::pin(Self::extract(request.clone()))
    }
}

fn bearer(request: &HttpRequest) -> Result<ApiKey, Problem> {
    let header = request.headers().get(header::AUTHORIZATION);
    let value = header
        .ok_or_else(|| unauthorized("An API key is needed: send Authorization: Bearer <key>."))?;
    let text = value.to_str().unwrap_or_default();
    let (scheme, key) = text.split_once(' ').unwrap_or((text, ""));
    let key = Some(key.trim())
        .filter(|_| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(ApiKey::parse);
    key.ok_or_else(|| {
        unauthorized("The API key is malformed: it is `td_` and 48 characters. Check that it was copied whole.")
    })
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn state_of(request: &HttpRequest) -> Result<AppState, Problem> {
    let state = request
        .app_data::<web::Data<AppState>>()
        .map(|data| AppState::clone(data));
    state.ok_or_else(|| Problem::internal("the server was built without its state"))
}

/// A signed-in member of staff.
#[derive(Debug, Clone)]
pub struct Staff {
    session: SessionRow,
}

/// Nobody is signed in: to the sign-in page, and back afterwards.
#[derive(Debug)]
pub enum StaffError {
    /// The page to come back to.
    SignIn(String),
    /// Anything else.
    Problem(PageError),
}

impl<T: Into<Problem>> From<T> for StaffError {
    fn from(error: T) -> Self {
        Self::Problem(PageError(error.into()))
    }
}

impl std::fmt::Display for StaffError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SignIn(_) => f.write_str("nobody is signed in"),
            Self::Problem(error) => error.fmt(f),
        }
    }
}

impl ResponseError for StaffError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn(_) => StatusCode::SEE_OTHER,
            Self::Problem(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::SignIn(next) => {
                let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
                HttpResponse::SeeOther()
                    .insert_header((header::LOCATION, format!("/desk/sign-in?next={next}")))
                    .insert_header((header::CACHE_CONTROL, "no-store"))
                    .finish()
            }
            Self::Problem(error) => error.page(Frame::desk_error()),
        }
    }
}

impl Staff {
    /// Their ID.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.session.staff_id
    }

    /// Who they are, for the page's frame.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        Viewer {
            email: self.session.email.clone(),
            csrf_token: self.session.csrf_token.clone(),
        }
    }

    /// Goes on only with a form of theirs: one that carries their session's token.
    ///
    /// # Errors
    /// 403.
    pub fn require_token(&self, token: &str) -> Result<(), Problem> {
        if bool::from(token.as_bytes().ct_eq(self.session.csrf_token.as_bytes())) {
            return Ok(());
        }
        let detail = "The form did not come from this session. Reload the page and send it again.";
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    #[tracing::instrument(name = "check session", skip_all)]
    async fn extract(request: HttpRequest) -> Result<Self, StaffError> {
        let state = state_of(&request)?;
        let sign_in = || {
            // Only a page can be come back to.
            let page = request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default();
            StaffError::SignIn(if request.method().is_safe() {
                page
            } else {
                "/desk".to_owned()
            })
        };
        let cookie = request
            .cookie(session::cookie_name(&state.config.base_url))
            .ok_or_else(sign_in)?;
        let mut conn = state.pool.acquire().await?;
        let found =
            store::find_session(&mut conn, token::hash(cookie.value()), state.clock.now()).await?;
        found.map(|session| Self { session }).ok_or_else(sign_in)
    }
}

impl FromRequest for Staff {
    type Error = StaffError;
    type Future = Extracting<Self, StaffError>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        Box::pin(Self::extract(request.clone()))
    }
}

/// A form that a member of staff sent from a page of ours: it carries their session's `csrf_token`.
#[derive(Debug)]
pub struct StaffForm<T> {
    /// Who sent it.
    pub staff: Staff,
    /// Its fields.
    pub fields: T,
}

impl<T: DeserializeOwned + 'static> FromRequest for StaffForm<T> {
    type Error = StaffError;
    type Future = Extracting<Self, StaffError>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (
            request.clone(),
            web::Payload::from_request(request, payload),
        );
        Box::pin(async move {
            let staff = Staff::extract(request).await?;
            let body = read_form(payload).await?;
            let pairs: Vec<(String, String)> = parse_form(&body)?;
            let token = pairs
                .iter()
                .find(|(name, _)| name == "csrf_token")
                .map_or("", |(_, value)| value);
            staff.require_token(token)?;
            Ok(Self {
                staff,
                fields: parse_form(&body)?,
            })
        })
    }
}

/// Reads a small urlencoded body.
///
/// # Errors
/// 400 or 413.
pub async fn read_form(
    payload: impl Future<Output = Result<web::Payload, actix_web::Error>>,
) -> Result<Vec<u8>, Problem> {
    let broken = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "The form did not arrive whole. Send it again.",
        )
    };
    let payload = payload.await.map_err(|_unreadable| broken())?;
    body::read(payload, MAX_FORM_BYTES, |_| true)
        .await
        .map_err(|error| match error {
            body::BodyError::TooLarge => Problem::too_large(MAX_FORM_BYTES),
            _ => broken(),
        })
}
