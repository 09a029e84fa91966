//! Screenshots of a form that was not sent yet, for its preview.

use actix_web::web;
use uuid::Uuid;

use crate::http::error::{PageError, PageResult, Problem, Reason};
use crate::http::picture::serve_picture;
use crate::state::AppState;
use crate::tickets::attachment;
use crate::token;

/// `GET /drafts/{token}/{id}`.
///
/// # Errors
/// [`PageError`].
pub async fn show(path: web::Path<(String, Uuid)>, state: web::Data<AppState>) -> PageResult {
    let (token, id) = path.into_inner();
    let mut conn = state.pool.acquire().await?;
    let picture = attachment::draft_picture(&mut conn, token::hash(&token), id).await?;
    let picture = picture.ok_or_else(missing)?;
    drop(conn);
    let (media_type, content) = state.blobs.open(picture).await?;
    Ok(serve_picture(media_type, content))
}

/// A picture that is not there.
#[must_use]
pub fn missing() -> PageError {
    let problem = Problem::not_found("This picture is not there, or not for you.");
    PageError(problem.with_reason(Reason::NoPicture))
}
