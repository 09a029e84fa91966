//! Pictures that people sent, as responses.

use actix_web::HttpResponse;
use actix_web::http::header;

/// Answers with a picture: never anything but a picture to the browser, and in a sandbox of its own.
#[must_use]
pub fn serve_picture(media_type: String, content: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ))
        .insert_header((
            header::CONTENT_DISPOSITION,
            "inline; filename=\"screenshot\"",
        ))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "private, max-age=3600"))
        .body(content)
}
