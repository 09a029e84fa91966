//! The way into the desk.

use askama::Template;

use crate::http::page::Frame;

/// `GET /desk/sign-in`, and the answer to a sign-in that failed.
#[derive(Debug, Template)]
#[template(path = "desk/sign_in.html")]
pub struct SignInPage {
    /// The frame.
    pub frame: Frame,
    /// The address as typed.
    pub email: String,
    /// Why it failed; the same sentence for an unknown address as for a wrong password.
    pub error: Option<String>,
    /// Where to go afterwards: a path below `/desk`, checked by the handler.
    pub next: String,
}
