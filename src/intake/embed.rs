//! The form in a frame on a page of the product: only pages of a publishable key's origins may frame it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use askama::Template;
use uuid::Uuid;

use super::form::{prefilled, show_filled};
use super::form_page::FormValues;
use crate::access::api_key::{ApiKey, KeyKind};
use crate::http::error::{PageError, PageResult, Problem};
use crate::http::form::Fields;
use crate::http::page::{Frame, allow_frames};
use crate::state::AppState;

/// Who may frame an answer.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// Whose key the page has.
    pub account_id: Uuid,
    /// The page's own origin, one of the key's.
    pub origin: String,
    origins: Vec<String>,
}

/// The end of a report in a frame: the page's script gets its reference and link, too.
#[derive(Debug, Template)]
#[template(path = "intake/sent.html")]
pub struct SentPage {
    /// The frame.
    pub frame: Frame,
    /// `TD-7F3K2Q`.
    pub reference: String,
    /// The reporter's link, absolute.
    pub url: String,
    /// Whose script may know both.
    pub origin: String,
}

/// `GET /embed`: the form as a page of the product frames it. The query has what fills it in, and the key.
///
/// # Errors
/// [`PageError`]; 403 without a key for the page's origin.
pub async fn show(
    request: HttpRequest,
    query: web::Query<Fields>,
    state: web::Data<AppState>,
) -> PageResult {
    let values = prefilled(&query);
    let Some(embedding) = Embedding::of(&state, &values).await? else {
        let detail = "This form opens only in pages that its publishable key is for. `tracedesk key list` shows their origins.";
        return Err(PageError(Problem::new(StatusCode::FORBIDDEN, detail)));
    };
    Ok(embedding.frame(show_filled(&request, &state, values).await))
}

impl Embedding {
    /// Who may frame the answer to a form; `None` when it was not sent from a frame that may be.
    ///
    /// # Errors
    /// [`Problem`] when the database is away.
    pub async fn of(state: &AppState, values: &FormValues) -> Result<Option<Self>, Problem> {
        let key = ApiKey::parse(&values.embed_key).filter(|key| key.kind() == KeyKind::Publishable);
        let Some(key) = key else { return Ok(None) };
        let Some(found) = state.keys.find(key.hash()).await? else {
            return Ok(None);
        };
        let origins = found.origins.unwrap_or_default();
        Ok(origins.contains(&values.embed_origin).then(|| Self {
            account_id: found.account_id,
            origin: values.embed_origin.clone(),
            origins,
        }))
    }

    /// Lets the pages frame this answer, be it an error.
    #[must_use]
    pub fn frame(&self, answer: PageResult) -> HttpResponse {
        let mut response = answer.unwrap_or_else(|error| error.error_response());
        allow_frames(&mut response, &self.origins);
        response
    }
}
