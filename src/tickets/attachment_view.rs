//! Screenshots as pages show them.

use uuid::Uuid;

use super::attachment::AttachmentInfo;

/// A screenshot on a page.
#[derive(Debug, Clone)]
pub struct ScreenshotView {
    /// Where its picture is.
    pub href: String,
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
}

impl ScreenshotView {
    /// Those of a message, or with `None` of the report, each served below `base`.
    #[must_use]
    pub fn of(base: &str, screenshots: &[AttachmentInfo], message_id: Option<Uuid>) -> Vec<Self> {
        let view = |shot: &AttachmentInfo| Self {
            href: format!("{base}/{}", shot.id),
            width: shot.width,
            height: shot.height,
        };
        let mine = screenshots
            .iter()
            .filter(|shot| shot.message_id == message_id);
        mine.map(view).collect()
    }
}
