//! The operator's colours and logo, under `/theme/{version}/`.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;

use crate::content::{Content, Site};

/// The route of [`serve`].
pub const THEME_ROUTE: &str = "/theme/{version}/{file}";
/// The version changes with the files.
const CACHING: &str = "public, max-age=31536000, immutable";

/// A logo may style itself, and do nothing else even when it is opened as a page.
const LOGO_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The address of the colours, if they are not the built-in ones.
#[must_use]
pub fn css_url(site: &Site) -> Option<String> {
    let url = || format!("/theme/{}/colours.css", site.version);
    site.css.as_ref().map(|_there| url())
}

/// The address of the logo, if there is one.
#[must_use]
pub fn logo_url(site: &Site) -> Option<String> {
    let url = || format!("/theme/{}/logo", site.version);
    site.logo.as_ref().map(|_there| url())
}

/// Serves either of them.
pub async fn serve(path: web::Path<(String, String)>, content: web::Data<Content>) -> HttpResponse {
    let site = content.default_words().site();
    let (media_type, body) = match (path.1.as_str(), &site.css, &site.logo) {
        ("colours.css", Some(css), _) => ("text/css; charset=utf-8", Bytes::from(css.clone())),
        ("logo", _, Some(logo)) => (logo.media_type, logo.content.clone()),
        _ => return HttpResponse::NotFound().body("There is no such file."),
    };
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, LOGO_POLICY))
        .insert_header((header::CACHE_CONTROL, CACHING))
        .body(body)
}
