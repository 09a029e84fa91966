//! A conversation and the box under it as pages show them.

use super::attachment::AttachmentInfo;
use super::attachment_view::ScreenshotView;
use super::conversation::{Message, MessageAuthor};
use super::drafts::Drafts;
use crate::clock::new_id;
use crate::http::view::When;

/// One message of a ticket's conversation.
#[derive(Debug, Clone)]
pub struct MessageView {
    /// Its ID.
    pub id: String,
    /// Who wrote it, as the reader should see it: `You`, `Support`, an address.
    pub author: String,
    /// Whether staff wrote it.
    pub is_staff: bool,
    /// Whether it is a note among staff.
    pub is_internal: bool,
    /// The text as written; shown with its line breaks.
    pub body: String,
    /// When it was sent.
    pub sent: When,
    /// The screenshots that came with it.
    pub screenshots: Vec<ScreenshotView>,
    /// What the reporter thought of it.
    pub rating: Option<RatingView>,
}

/// What a reporter thought of an answer.
#[derive(Debug, Clone)]
pub struct RatingView {
    /// Whether it helped.
    pub is_helpful: bool,
    /// What they added.
    pub line: Option<String>,
}

impl MessageView {
    /// A message by `author`, its pictures among `screenshots` served below `base`.
    #[must_use]
    pub fn new(
        message: Message,
        author: String,
        sent: When,
        base: &str,
        screenshots: &[AttachmentInfo],
    ) -> Self {
        Self {
            id: message.id.to_string(),
            author,
            is_staff: message.author == MessageAuthor::Staff,
            is_internal: message.is_internal,
            body: message.body,
            sent,
            screenshots: ScreenshotView::of(base, screenshots, Some(message.id)),
            rating: message.is_helpful.map(|is_helpful| RatingView {
                is_helpful,
                line: message.rating_line,
            }),
        }
    }
}

#[cfg(test)]
impl MessageView {
    /// Words of somebody, for tests of pages.
    pub(crate) fn sample(author: &str, is_staff: bool, body: &str, sent: When) -> Self {
        Self {
            id: new_id().to_string(),
            author: author.to_owned(),
            is_staff,
            is_internal: false,
            body: body.to_owned(),
            sent,
            screenshots: Vec::new(),
            rating: None,
        }
    }
}

/// The box under a conversation.
#[derive(Debug, Clone)]
pub struct ReplyForm {
    /// What was typed, kept when it was refused.
    pub body: String,
    /// Why it was refused.
    pub error: Option<String>,
    /// Whether it is to be a note among staff.
    pub is_note: bool,
    /// Made for this form: sent twice, it acts once.
    pub once: String,
    /// The screenshots sent so far.
    pub drafts: Drafts,
    /// Why the last ones were refused.
    pub files_error: Option<String>,
}

impl Default for ReplyForm {
    fn default() -> Self {
        Self {
            body: String::new(),
            error: None,
            is_note: false,
            once: new_id().to_string(),
            drafts: Drafts::default(),
            files_error: None,
        }
    }
}

impl ReplyForm {
    /// Why the screenshots were refused.
    #[must_use]
    pub fn files_error(&self) -> Option<&str> {
        self.files_error.as_deref()
    }
}
