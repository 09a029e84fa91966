//! Stylesheet, scripts and pictures, embedded in the binary and served under `/assets/{version}/{file}`.

use std::future::{Ready, ready};
use std::sync::LazyLock;

use actix_web::http::header::{self, ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Assets;

/// The route of [`serve`].
pub const ASSET_ROUTE: &str = "/assets/{version}/{file}";

/// One version for all assets, so that scripts can import each other by relative paths: 12 hex digits (48 bits) of a
/// hash over every file's name and hash.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Assets::iter().collect();
    names.sort();
    let mut hasher = Sha256::new();
    for name in names {
        hasher.update(name.as_bytes());
        if let Some(file) = Assets::get(&name) {
            hasher.update(file.metadata.sha256_hash());
        }
    }
    let mut version = hex::encode(hasher.finalize());
    version.truncate(12);
    version
});

/// The path of an asset; changes whenever any asset does.
#[must_use]
pub fn asset_url(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// Serves an asset. Under the current version it may be kept for a year; under another one (a page from before an
/// update) the current file is served, to be asked for again by its `ETag`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "actix hands over what a handler extracts"
)]
pub fn serve(path: web::Path<(String, String)>, request: HttpRequest) -> Ready<HttpResponse> {
    let (version, name) = path.into_inner();
    ready(respond(&version, &name, &request))
}

/// `GET /embed.js`: the script for pages of the product, at an address that stays. Pages of other origins may load it,
/// with a check of its integrity if they like.
#[expect(
    clippy::needless_pass_by_value,
    reason = "actix hands over what a handler extracts"
)]
pub fn serve_embed(request: HttpRequest) -> Ready<HttpResponse> {
    let mut response = respond("", "embed.js", &request);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    ready(response)
}

fn respond(version: &str, name: &str, request: &HttpRequest) -> HttpResponse {
    let Some(file) = Assets::get(name) else {
        return HttpResponse::NotFound().body("There is no such file.");
    };
    let tag = EntityTag::new_strong(hex::encode(file.metadata.sha256_hash()));
    let caching = if version == *VERSION {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if is_known_to_client(request, &tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(ETag(tag.clone()));
    if is_known_to_client(request, &tag) {
        return response.finish();
    }
    response
        .insert_header((header::CONTENT_TYPE, content_type(file.metadata.mimetype())))
        .body(file.data.into_owned())
}

/// Text is UTF-8, and browsers must not guess otherwise.
fn content_type(mime: &str) -> String {
    if mime.starts_with("text/") {
        format!("{mime}; charset=utf-8")
    } else {
        mime.to_owned()
    }
}

/// Weak comparison, as RFC 9110 section 13.1.2 asks for `If-None-Match`.
fn is_known_to_client(request: &HttpRequest, tag: &EntityTag) -> bool {
    request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .map(|known| known.trim().trim_start_matches("W/").trim_matches('"'))
                .any(|known| known == tag.tag())
        })
}

#[cfg(test)]
mod tests {
    use actix_web::{App, http::StatusCode, test};

    use super::*;

    async fn get(path: &str, etag: Option<&str>) -> actix_web::dev::ServiceResponse {
        let app = test::init_service(App::new().route(ASSET_ROUTE, web::get().to(serve))).await;
        let mut request = test::TestRequest::get().uri(path);
        if let Some(etag) = etag {
            request = request.insert_header((header::IF_NONE_MATCH, etag));
        }
        test::call_service(&app, request.to_request()).await
    }

    #[actix_web::test]
    async fn the_current_version_is_kept_for_a_year() {
        let response = get(&asset_url("app.css"), None).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(
            headers.get(header::CONTENT_TYPE).unwrap(),
            "text/css; charset=utf-8"
        );
        assert!(
            headers
                .get(header::CACHE_CONTROL)
                .unwrap()
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        let etag = headers
            .get(header::ETAG)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let again = get(&asset_url("app.css"), Some(&format!("\"x\", W/{etag}"))).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[actix_web::test]
    async fn other_versions_are_asked_for_again() {
        let response = get("/assets/000000000000/app.css", None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers().get(header::CACHE_CONTROL).unwrap(),
            "no-cache"
        );
    }

    #[actix_web::test]
    async fn nothing_outside_the_folder_is_served() {
        for path in ["/assets/x/none.css", "/assets/x/..%2FCargo.toml"] {
            assert_eq!(get(path, None).await.status(), StatusCode::NOT_FOUND);
        }
    }
}
