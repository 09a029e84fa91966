//! The language of whoever reads a public page: chosen by `?lang=`, remembered in a cookie, else the browser's. It goes
//! along with the request, as its trace context does, so that an error page finds it too.

use std::future::Future;

use actix_web::body::MessageBody;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AcceptLanguage, Header as _, Preference, Quality};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};

use crate::content::{Content, Words};

/// The cookie with the tag of the language that was chosen.
const COOKIE: &str = "lang";
/// The parameter of an address that chooses one.
const PARAMETER: &str = "lang";
/// A choice is kept for a year.
const KEPT: Duration = Duration::days(365);
/// Languages of a browser that are looked at.
const MAX_WANTED: usize = 20;

/// Who reads the page at hand.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Their language.
    pub words: Words,
    /// Whether they chose it themselves.
    pub has_chosen: bool,
}

tokio::task_local! {
    static CURRENT: Reader;
}

/// The reader of the request at hand; of English outside of one.
#[must_use]
pub fn current() -> Reader {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` for this reader.
pub async fn scope<F: Future>(reader: Reader, work: F) -> F::Output {
    CURRENT.scope(reader, work).await
}

impl Reader {
    /// Who sends this request.
    #[must_use]
    pub fn of(request: &HttpRequest, content: &Content) -> Self {
        let kept = request
            .cookie(COOKIE)
            .map(|cookie| cookie.value().to_owned());
        let choices = [parameter(request), kept];
        let chosen = choices
            .iter()
            .flatten()
            .find_map(|tag| content.negotiate(&[tag]));
        let words = chosen.or_else(|| content.negotiate(&wanted(request)));
        Self {
            words: words.unwrap_or(content.default_words()).clone(),
            has_chosen: chosen.is_some(),
        }
    }

    /// The language of a page that belongs to a report: what its reader chose, or else what the report came in.
    #[must_use]
    pub fn words_for(&self, content: &Content, tag: &str) -> Words {
        if self.has_chosen {
            self.words.clone()
        } else {
            content.words(tag).clone()
        }
    }
}

fn parameter(request: &HttpRequest) -> Option<String> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    let last = query.0.into_iter().rev().find(|(key, _)| key == PARAMETER);
    last.map(|(_, tag)| tag)
}

/// The browser's languages, most wanted first.
fn wanted(request: &HttpRequest) -> Vec<String> {
    let Ok(mut accepted) = AcceptLanguage::parse(request) else {
        return Vec::new();
    };
    accepted.0.retain(|item| item.quality > Quality::ZERO);
    let ranked = accepted.ranked().into_iter().take(MAX_WANTED);
    ranked
        .filter_map(|item| match item {
            Preference::Specific(tag) => Some(tag.to_string()),
            Preference::Any => None,
        })
        .collect()
}

/// Runs a request in its reader's language, and remembers a choice.
///
/// # Errors
/// Those of the handler.
pub async fn read_in<B: MessageBody>(
    content: &Content,
    is_secure: bool,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let reader = Reader::of(request.request(), content);
    let is_new = reader.has_chosen && parameter(request.request()).is_some();
    let tag = reader.words.tag().to_owned();
    let mut response = scope(reader, next.call(request)).await?;
    if is_new {
        let cookie = Cookie::build(COOKIE, tag)
            .path("/")
            .max_age(KEPT)
            .same_site(SameSite::Lax)
            .secure(is_secure)
            .http_only(true)
            .finish();
        response.response_mut().add_cookie(&cookie)?;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(path: &str, cookie: &str, accepted: &str) -> (String, bool) {
        let request = TestRequest::with_uri(path)
            .insert_header(("cookie", cookie))
            .insert_header(("accept-language", accepted));
        let reader = Reader::of(&request.to_http_request(), Content::built_in());
        (reader.words.tag().to_owned(), reader.has_chosen)
    }

    #[test]
    fn what_was_chosen_counts_before_what_the_browser_wants() {
        for (path, cookie, accepted, tag, has_chosen) in [
            ("/", "", "", "en", false),
            ("/", "", "de-AT,de;q=0.9,en;q=0.8", "de", false),
            ("/", "", "en;q=0.1, fr, zh-CN;q=0.5", "zh-Hans", false),
            ("/", "", "de;q=0, fr", "en", false),
            ("/", "lang=de", "zh", "de", true),
            ("/?x=1&lang=zh-Hans", "lang=de", "en", "zh-Hans", true),
            ("/?lang=xx", "lang=de", "zh", "de", true),
            ("/?lang=xx", "lang=", "zh", "zh-Hans", false),
            ("/?lang=%00", "", "not a header;;", "en", false),
        ] {
            assert_eq!(
                read(path, cookie, accepted),
                (tag.to_owned(), has_chosen),
                "{path} {cookie} {accepted}"
            );
        }
    }
}
