//! The operator's colours, links and logo, checked.

use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

/// Largest logo: it is sent with every first visit.
const MAX_LOGO_BYTES: usize = 256 * 1024;
/// Least contrast of text: WCAG 2.2, 1.4.3.
const MIN_CONTRAST: f64 = 4.5;
/// How much of the accent is in the ground of what is chosen.
const SOFT: f64 = 0.12;
/// How far the accent goes towards the ink under the mouse.
const HOVER: f64 = 0.2;

/// Colours of the page that the accent stands on (`static/app.css`: `--bg`, `--surface`, `--ink`).
struct Ground {
    page: Colour,
    surface: Colour,
    ink: Colour,
}

const LIGHT: Ground = Ground {
    page: Colour(0xf5, 0xf6, 0xf5),
    surface: Colour(0xff, 0xff, 0xff),
    ink: Colour(0x16, 0x20, 0x1d),
};
const DARK: Ground = Ground {
    page: Colour(0x0e, 0x13, 0x12),
    surface: Colour(0x15, 0x1b, 0x1a),
    ink: Colour(0xe6, 0xeb, 0xe9),
};
const WHITE: Colour = Colour(0xff, 0xff, 0xff);
const BLACK: Colour = Colour(0, 0, 0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour(u8, u8, u8);

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = hex::decode(text.strip_prefix('#')?).ok()?.try_into().ok()?;
        Some(Self(bytes[0], bytes[1], bytes[2]))
    }

    fn mix(self, other: Self, share: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two bytes is a byte"
        )]
        let mix = |a: u8, b: u8| {
            f64::from(b)
                .mul_add(share, f64::from(a) * (1.0 - share))
                .round() as u8
        };
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }

    /// Relative luminance, as WCAG 2.2 defines it.
    fn luminance(self) -> f64 {
        let part = |byte: u8| {
            let part = f64::from(byte) / 255.0;
            if part <= 0.040_45 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.0722f64.mul_add(
            part(self.2),
            0.2126f64.mul_add(part(self.0), 0.7152 * part(self.1)),
        )
    }

    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn css(self) -> String {
        format!("#{}", hex::encode([self.0, self.1, self.2]))
    }
}

/// The accent in light and in dark.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Colours {
    accent_light: String,
    accent_dark: String,
}

impl Colours {
    /// The style sheet that sets them.
    pub(super) fn css(&self, faults: &mut Vec<String>) -> String {
        let light = rules(
            "colours.accent_light",
            &self.accent_light,
            "light",
            &LIGHT,
            faults,
        );
        let dark = rules(
            "colours.accent_dark",
            &self.accent_dark,
            "dark",
            &DARK,
            faults,
        );
        format!(":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}")
    }
}

fn rules(key: &str, text: &str, mode: &str, ground: &Ground, faults: &mut Vec<String>) -> String {
    let Some(accent) = Colour::parse(text) else {
        faults.push(format!("{key}: {text:?} is not a colour such as #0b5f5a"));
        return String::new();
    };
    let soft = ground.surface.mix(accent, SOFT);
    let least = [ground.page, ground.surface, soft]
        .map(|ground| accent.contrast(ground))
        .into_iter()
        .fold(f64::INFINITY, f64::min);
    if least < MIN_CONTRAST {
        faults.push(format!(
            "{key}: {text} is hard to read on the {mode} page: its contrast is {least:.1}, and {MIN_CONTRAST} is the least"
        ));
    }
    let on = if accent.contrast(WHITE) > accent.contrast(BLACK) {
        WHITE
    } else {
        BLACK
    };
    format!(
        "--accent:{};--accent-hover:{};--on-accent:{};--accent-soft:{}",
        accent.css(),
        accent.mix(ground.ink, HOVER).css(),
        on.css(),
        soft.css()
    )
}

/// Where the operator's own pages are; empty where there is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the texts that they stand with say what they are"
)]
pub struct Links {
    pub models: String,
    pub plans: String,
    pub credits: String,
    pub document_help: String,
    pub api_keys: String,
    pub rate_limits: String,
    pub status: String,
}

impl Links {
    pub(super) fn check(&self, faults: &mut Vec<String>) {
        let links = [
            ("models", &self.models),
            ("plans", &self.plans),
            ("credits", &self.credits),
            ("document_help", &self.document_help),
            ("api_keys", &self.api_keys),
            ("rate_limits", &self.rate_limits),
            ("status", &self.status),
        ];
        let is_good = |link: &str| {
            Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "mailto"))
        };
        for (key, link) in links {
            if !link.is_empty() && !is_good(link) {
                faults.push(format!(
                    "links.{key}: {link:?} is not a link such as https://example.com/plans"
                ));
            }
        }
    }
}

/// A picture of the product.
#[derive(Debug, Clone)]
pub struct Logo {
    /// `image/svg+xml` or `image/png`.
    pub media_type: &'static str,
    /// The file.
    pub content: Bytes,
}

impl Logo {
    /// Reads a file; judged by its content.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let content = std::fs::read(path)
            .map_err(|error| format!("product.logo: {} can't be read: {error}", path.display()))?;
        let start = String::from_utf8_lossy(content.get(..1_000).unwrap_or(&content)).into_owned();
        let media_type = if content.starts_with(b"\x89PNG\r\n\x1a\n") {
            "image/png"
        } else if start.contains("<svg") {
            "image/svg+xml"
        } else {
            return Err(format!(
                "product.logo: {} is neither PNG nor SVG",
                path.display()
            ));
        };
        if content.len() > MAX_LOGO_BYTES {
            return Err(format!(
                "product.logo: {} has over {} KiB",
                path.display(),
                MAX_LOGO_BYTES / 1024
            ));
        }
        Ok(Self {
            media_type,
            content: content.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_wcag() {
        let contrast = |a, b| {
            Colour::parse(a)
                .unwrap()
                .contrast(Colour::parse(b).unwrap())
        };
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.01);
        assert!((contrast("#777777", "#ffffff") - 4.48).abs() < 0.01);
        for bad in ["red", "#12345", "#1234567", "#gggggg", ""] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }
}
