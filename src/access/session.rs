//! Sessions of staff: kept in the database, carried by a cookie that scripts can't read.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use chrono::Duration;

use crate::config::BaseUrl;

/// A session ends this long after the sign-in, used or not.
pub const SESSION_DAYS: i64 = 7;
/// The cookie's name where there is TLS: browsers take `__Host-` only if it is `Secure`, of this host, for all paths.
const SECURE_NAME: &str = "__Host-tracedesk";
/// The cookie's name on plain HTTP, which is for trying out on one's own machine.
const PLAIN_NAME: &str = "tracedesk";

/// What a member of staff may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "staff_role", rename_all = "snake_case")]
pub enum Role {
    /// Also settings and other staff.
    Admin,
    /// Tickets and traces.
    Staff,
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "admin" => Ok(Self::Admin),
            "staff" => Ok(Self::Staff),
            _ => Err(format!("{text:?} is not a role; roles are admin and staff")),
        }
    }
}

/// How long a session lasts.
#[must_use]
pub fn lifetime() -> Duration {
    Duration::days(SESSION_DAYS)
}

/// The cookie's name under this address.
#[must_use]
pub fn cookie_name(base_url: &BaseUrl) -> &'static str {
    if base_url.is_https() {
        SECURE_NAME
    } else {
        PLAIN_NAME
    }
}

/// The cookie that carries a session's token.
#[must_use]
pub fn cookie(base_url: &BaseUrl, token: String) -> Cookie<'static> {
    Cookie::build(cookie_name(base_url), token)
        .path("/")
        .http_only(true)
        .secure(base_url.is_https())
        .same_site(SameSite::Lax)
        .max_age(CookieDuration::days(SESSION_DAYS))
        .finish()
}

/// The cookie that takes it away.
#[must_use]
pub fn removal_cookie(base_url: &BaseUrl) -> Cookie<'static> {
    let mut cookie = cookie(base_url, String::new());
    cookie.set_max_age(CookieDuration::ZERO);
    cookie
}
