//! Refuses what another site's page makes a browser send. Browsers say where a request comes from: `Sec-Fetch-Site`,
//! or `Origin` in older ones. Requests with neither come from programs, which carry no one's cookies unasked; desk
//! forms also carry a token of their session (`access::extract::StaffForm`).

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;

use super::error::Problem;
use crate::config::BaseUrl;

/// Checks a request; reads always pass.
///
/// # Errors
/// 403 for a state-changing request from another site.
pub fn check(request: &HttpRequest, base_url: &BaseUrl) -> Result<(), Problem> {
    if request.method().is_safe() || is_from_here(request, base_url) {
        return Ok(());
    }
    let detail = "This was sent from another site's page. Open the page here and send it again.";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn is_from_here(request: &HttpRequest, base_url: &BaseUrl) -> bool {
    let value = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("?"))
    };
    match (value("sec-fetch-site"), value(header::ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin == base_url.origin(),
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_our_own_pages_change_anything() {
        let base = BaseUrl::parse("https://desk.example.com").unwrap();
        let post = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::post(), |request, header| {
                request.insert_header(*header)
            });
            check(&request.to_http_request(), &base).is_ok()
        };
        assert!(post(&[]));
        assert!(post(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://desk.example.com")
        ]));
        assert!(post(&[("origin", "https://desk.example.com")]));
        assert!(!post(&[("sec-fetch-site", "cross-site")]));
        assert!(!post(&[("sec-fetch-site", "same-site")]));
        assert!(!post(&[("origin", "https://evil.example")]));
        assert!(!post(&[("origin", "null")]));
        assert!(
            check(
                &TestRequest::get()
                    .insert_header(("sec-fetch-site", "cross-site"))
                    .to_http_request(),
                &base
            )
            .is_ok()
        );
    }
}
