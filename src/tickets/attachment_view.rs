//! Screenshots as pages show them.

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
    /// All of a ticket's, each below `base`.
    #[must_use]
    pub fn list(base: &str, screenshots: &[AttachmentInfo]) -> Vec<Self> {
        let view = |shot: &AttachmentInfo| Self {
            href: format!("{base}/{}", shot.id),
            width: shot.width,
            height: shot.height,
        };
        screenshots.iter().map(view).collect()
    }
}
