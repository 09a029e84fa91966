//! Screenshots between the form and the ticket: kept at once under a token, so that a form that is refused for
//! something else does not lose them; moved to the ticket in the transaction that opens it.

use actix_web::web;
use sqlx::PgConnection;
use uuid::Uuid;

use super::screenshot::{self, MAX_SCREENSHOTS, Screenshot};
use crate::clock::new_id;
use crate::http::error::{PageError, PageResult, Problem};
use crate::http::picture::serve_picture;
use crate::state::AppState;
use crate::tickets::attachment::{self, AttachmentInfo, NewAttachment};
use crate::token::{self, Token};

/// Files of a form that was never sent are forgotten after this many hours.
pub const UNSENT_HOURS: i64 = 24;

/// The screenshots that go with a form.
#[derive(Debug, Clone, Default)]
pub struct Drafts {
    /// The token by which the form finds them again; empty while there are none.
    pub token: String,
    /// The screenshots, in order.
    pub files: Vec<AttachmentInfo>,
}

impl Drafts {
    /// What the ticket's transaction finds them by.
    #[must_use]
    pub fn hash(&self) -> Option<[u8; 32]> {
        (!self.files.is_empty()).then(|| token::hash(&self.token))
    }
}

/// Keeps the files of a form beside those it sent before. Returns all of them, and what is wrong with the new ones.
///
/// # Errors
/// [`Problem`] when they can't be kept now.
pub async fn keep(
    state: &AppState,
    token: &str,
    removed: Option<Uuid>,
    files: Vec<Vec<u8>>,
) -> Result<(Drafts, Option<String>), Problem> {
    if token.is_empty() && files.is_empty() {
        return Ok((Drafts::default(), None));
    }
    let token = if token.is_empty() {
        Token::generate().text
    } else {
        token.to_owned()
    };
    let hash = token::hash(&token);
    let count = files.len();
    let shots = screenshot::take_all(files).await?;
    let mut conn = state.pool.acquire().await?;
    if let Some(id) = removed {
        attachment::delete_draft(&mut conn, hash, id).await?;
    }
    let known = attachment::drafts(&mut conn, hash).await?.len();
    let error = match shots {
        Err(error) => Some(error),
        Ok(_) if known + count > MAX_SCREENSHOTS => {
            Some(format!("At most {MAX_SCREENSHOTS} screenshots are taken."))
        }
        Ok(shots) => {
            for shot in &shots {
                insert(state, &mut conn, hash, shot).await?;
            }
            None
        }
    };
    let files = attachment::drafts(&mut conn, hash).await?;
    Ok((Drafts { token, files }, error))
}

async fn insert(
    state: &AppState,
    conn: &mut PgConnection,
    hash: [u8; 32],
    shot: &Screenshot,
) -> Result<(), Problem> {
    let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let new = NewAttachment {
        id: new_id(),
        media_type: shot.media_type,
        width: side(shot.width),
        height: side(shot.height),
        content: &shot.content,
    };
    Ok(attachment::insert_draft(conn, hash, &new, state.clock.now()).await?)
}

/// `GET /drafts/{token}/{id}`: a screenshot of a form that was not sent yet, for its preview.
///
/// # Errors
/// [`PageError`].
pub async fn show(path: web::Path<(String, Uuid)>, state: web::Data<AppState>) -> PageResult {
    let (token, id) = path.into_inner();
    let mut conn = state.pool.acquire().await?;
    let picture = attachment::draft_picture(&mut conn, token::hash(&token), id).await?;
    let picture = picture.ok_or_else(missing)?;
    Ok(serve_picture(picture.media_type, picture.content))
}

/// A picture that is not there.
#[must_use]
pub fn missing() -> PageError {
    PageError(Problem::not_found(
        "This picture is not there, or not for you.",
    ))
}
