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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::testing;

    #[test]
    fn a_failed_sign_in_keeps_the_address_and_the_way() {
        let html = testing::render(
            "sign-in",
            &SignInPage {
                frame: Frame::public(),
                email: "mira@example.com".to_owned(),
                error: Some("The address or the password is wrong.".to_owned()),
                next: "/desk/tickets/1".to_owned(),
            },
        );
        assert!(html.contains(r#"value="mira@example.com""#));
        assert!(html.contains(r#"name="next" value="/desk/tickets/1""#));
    }
}
