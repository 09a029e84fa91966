//! Pages: an askama template becomes a response with the headers that keep it safe. Also the frame around every page,
//! and the page that an error shows.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType, HeaderName};
use askama::Template;

use super::reader;
use super::theme;
use crate::content::{Instead, Words};

/// The Content-Security-Policy of every page: only what tracedesk itself serves, nothing inline, no framing.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
     base-uri 'none'";

/// Headers of every page besides its type and caching. The referrer stays within the origin: a ticket's secret link
/// must not reach other sites, while `no-referrer` would make browsers send `Origin: null` with our own forms.
pub const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (
        header::PERMISSIONS_POLICY,
        "camera=(), microphone=(), geolocation=()",
    ),
];

/// Answers with a page that no cache may keep: what staff see, and what a secret link opens.
#[must_use]
pub fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    respond(status, page, "no-store")
}

/// Answers with a page that the reporter's own browser may keep, so that going back finds a half-filled form as it was.
#[must_use]
pub fn public_html(status: StatusCode, page: &impl Template) -> HttpResponse {
    respond(status, page, "private, no-cache")
}

/// Lets pages of these origins frame an answer, which is nobody's to frame otherwise.
pub fn allow_frames(response: &mut HttpResponse, origins: &[String]) {
    let headers = response.headers_mut();
    headers.remove(header::X_FRAME_OPTIONS);
    let policy = headers
        .get(header::CONTENT_SECURITY_POLICY)
        .and_then(|policy| policy.to_str().ok())
        .unwrap_or(CONTENT_SECURITY_POLICY);
    let ancestors = format!("frame-ancestors {}", origins.join(" "));
    let policy = policy.replace("frame-ancestors 'none'", &ancestors);
    // An origin is ASCII without spaces and semicolons.
    if let Ok(policy) = header::HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

fn respond(status: StatusCode, page: &impl Template, caching: &'static str) -> HttpResponse {
    let mut response = match page.render() {
        Ok(body) => HttpResponse::build(status)
            .insert_header(ContentType::html())
            .body(body),
        Err(error) => {
            tracing::error!(%error, "a page did not render");
            HttpResponse::InternalServerError()
                .insert_header(ContentType::plaintext())
                .body("This page could not be shown. Try again; if it stays, tell support.")
        }
    };
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static(caching),
    );
    response
}

/// What surrounds every page: the header with its navigation.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Whether the desk's navigation is shown.
    pub is_desk: bool,
    /// Who is signed in; `None` on public pages, and on the desk's errors, which know nobody.
    pub viewer: Option<Viewer>,
    /// Which entry of the navigation is current.
    pub section: Section,
    /// What the search box holds.
    pub search: String,
    /// The reader's language; English at the desk.
    pub words: Words,
    /// Where the switch of languages leads.
    pub switch: Switch,
}

/// Where the switch of languages of a public page leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Switch {
    /// Nowhere: there is none.
    Off,
    /// To the same page.
    #[default]
    Here,
    /// Through the form, so that nothing typed is lost.
    Form,
    /// To the start page: this one can't be asked for again.
    Home,
}

/// The member of staff who looks at a page.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Their address.
    pub email: String,
    /// Their session's token, sent back by every form as `csrf_token`.
    pub csrf_token: String,
}

/// The entries of the navigation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Section {
    /// None of them.
    #[default]
    Elsewhere,
    /// The queue, and tickets opened from it.
    Queue,
    /// Failures over all tickets.
    Failures,
    /// What the start page helped with.
    Answers,
    /// The outbox.
    Mail,
}

impl Frame {
    /// The frame of a page that anyone may see, in the language of the request at hand.
    #[must_use]
    pub fn public() -> Self {
        Self::in_words(reader::current().words)
    }

    /// The frame of a public page in this language.
    #[must_use]
    pub fn in_words(words: Words) -> Self {
        Self {
            words,
            ..Self::default()
        }
    }

    /// The same frame with another switch of languages.
    #[must_use]
    pub fn with_switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// The address of the operator's colours, if they show on this page.
    #[must_use]
    pub fn css_url(&self) -> Option<String> {
        theme::css_url(self.words.site()).filter(|_url| !self.is_desk)
    }

    /// The address of the operator's logo, if it shows on this page.
    #[must_use]
    pub fn logo_url(&self) -> Option<String> {
        theme::logo_url(self.words.site()).filter(|_url| !self.is_desk)
    }

    /// What a screenshot is called.
    #[must_use]
    pub fn numbered_screenshot(&self, number: usize) -> String {
        let name = &self.words.form.screenshot;
        name.fill(&[("number", &number)])
    }

    /// What the button is called that takes a screenshot away.
    #[must_use]
    pub fn remove_screenshot(&self, number: usize) -> String {
        let name = &self.words.form.remove_screenshot;
        name.fill(&[("number", &number)])
    }

    /// What the page says it belongs to.
    #[must_use]
    pub fn product(&self) -> &str {
        if self.is_desk {
            "tracedesk"
        } else {
            &self.words.site().product
        }
    }

    /// The frame of a desk page.
    #[must_use]
    pub fn desk(viewer: Viewer, section: Section) -> Self {
        Self {
            is_desk: true,
            viewer: Some(viewer),
            section,
            ..Self::default()
        }
    }

    /// The frame of an error at the desk.
    #[must_use]
    pub fn desk_error() -> Self {
        Self {
            is_desk: true,
            ..Self::default()
        }
    }

    /// The same frame with `text` in its search box.
    #[must_use]
    pub fn with_search(mut self, text: &str) -> Self {
        text.clone_into(&mut self.search);
        self
    }

    /// Whether `section` is the current one.
    #[must_use]
    pub fn is_in(&self, section: Section) -> bool {
        self.section == section
    }
}

/// An error in words: what happened, what to do next, and the ID by which support finds it.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The frame.
    pub frame: Frame,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a sentence.
    pub detail: String,
    /// This request's own trace ID, 32 hex digits.
    pub trace_id: String,
}

impl ErrorPage {
    /// The page for `status`. `detail` says what is wrong; leave it empty where there is nothing more to say.
    #[must_use]
    pub fn new(frame: Frame, status: StatusCode, detail: &str, trace_id: &str) -> Self {
        Self {
            frame,
            status: status.as_u16(),
            detail: detail.to_owned(),
            trace_id: trace_id.to_owned(),
        }
    }

    /// What happened in a few words, and what to do next.
    #[must_use]
    pub fn words(&self) -> &Instead {
        let problems = &self.frame.words.problems;
        match self.status {
            400 => &problems.bad_request,
            401 => &problems.unauthorized,
            403 => &problems.forbidden,
            404 => &problems.not_found,
            405 => &problems.wrong_method,
            413 => &problems.large,
            422 => &problems.invalid,
            429 => &problems.often,
            503 => &problems.unavailable,
            500.. => &problems.fault,
            _ => &problems.other,
        }
    }
}

/// What the tests of all pages share.
#[cfg(test)]
pub(crate) mod testing {
    use std::collections::HashSet;
    use std::path::Path;

    use askama::Template;

    use super::{Frame, Section, Viewer};

    /// The frame of someone signed in.
    pub(crate) fn desk_frame(section: Section) -> Frame {
        let viewer = Viewer {
            email: "mira.okafor@example.com".to_owned(),
            csrf_token: "csrf-of-the-session".to_owned(),
        };
        Frame::desk(viewer, section)
    }

    /// Renders `page`, checks what holds for every page, and leaves it in `target/pages/{name}.html` to be looked at.
    pub(crate) fn render(name: &str, page: &impl Template) -> String {
        let html = page.render().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.html")), &html).unwrap();
        assert_nothing_inline(&html);
        assert_ids_are_unique(&html);
        if html.contains("data-words=") {
            assert_places_are_filled(&html);
        }
        html
    }

    /// The policy forbids it, so that it would do nothing.
    fn assert_nothing_inline(html: &str) {
        for forbidden in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        for script in html.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap_or_default();
            assert!(tag.contains("src=\"/assets/"), "{tag}");
        }
    }

    /// A text whose place got no value shows its name; what scripts say is filled by them.
    fn assert_places_are_filled(html: &str) {
        let (head, body) = html.split_once("data-words=").unwrap_or((html, ""));
        let body = body.split_once('>').map_or("", |(_words, rest)| rest);
        for rest in [head, body].iter().flat_map(|text| text.split('{').skip(1)) {
            let name = rest.split('}').next().unwrap_or_default();
            let is_name =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(!is_name, "{{{name}}} is not filled");
        }
    }

    fn assert_ids_are_unique(html: &str) {
        let mut seen = HashSet::new();
        for id in html.split(" id=\"").skip(1) {
            let id = id.split('"').next().unwrap_or_default();
            assert!(seen.insert(id), "id {id} twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_carry_every_security_header() {
        let page = ErrorPage::new(Frame::public(), StatusCode::NOT_FOUND, "", "0af7");
        let response = html(StatusCode::NOT_FOUND, &page);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        for (name, value) in SECURITY_HEADERS {
            assert_eq!(response.headers().get(&name).unwrap(), value, "{name}");
        }
        assert_eq!(
            response.headers().get(header::CACHE_CONTROL).unwrap(),
            "no-store"
        );
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    }

    #[test]
    fn the_error_page_shows_the_id_to_copy() {
        let trace_id = "0af7651916cd43dd8448eb211c80319c";
        let detail = "The database did not answer in time.";
        let page = ErrorPage::new(
            testing::desk_frame(Section::Elsewhere),
            StatusCode::SERVICE_UNAVAILABLE,
            detail,
            trace_id,
        );
        let html = testing::render("error", &page);
        assert!(html.contains(detail) && html.contains(trace_id));
    }

    #[test]
    fn errors_say_what_to_do_next() {
        for status in (400..600).filter_map(|code| StatusCode::from_u16(code).ok()) {
            let page = ErrorPage::new(Frame::public(), status, "", "0af7");
            let words = page.words();
            assert!(
                words.title.len() > 10 && words.next.ends_with('.'),
                "{status}"
            );
        }
    }
}
