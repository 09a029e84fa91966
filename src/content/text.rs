//! Texts with places to fill in.

use std::collections::BTreeSet;
use std::fmt::Display;

use askama::filters::Safe;
use serde::Deserialize;

/// A text with places such as `{count}` in it. Which ones it has is checked when the content is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

/// A piece of a pattern.
enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

impl Pattern {
    /// The text with its places filled. A place without a value stays as it is.
    #[must_use]
    pub fn fill(&self, values: &[(&str, &dyn Display)]) -> String {
        self.join(values, str::to_owned)
    }

    /// The same as markup: the text is escaped, the values are markup already.
    #[must_use]
    pub fn markup(&self, values: &[(&str, &dyn Display)]) -> Safe<String> {
        Safe(self.join(values, escape))
    }

    fn join(&self, values: &[(&str, &dyn Display)], text: impl Fn(&str) -> String) -> String {
        let filled = |name| values.iter().find(|(known, _)| *known == name);
        pieces(&self.0)
            .map(|piece| match piece {
                Piece::Text(part) => text(part),
                Piece::Place(name) => match filled(name) {
                    Some((_, value)) => value.to_string(),
                    None => format!("{{{name}}}"),
                },
            })
            .collect()
    }
}

/// As askama escapes it.
#[must_use]
pub fn escape(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html).map_or_else(
        |_never: std::convert::Infallible| String::new(),
        |safe| safe.to_string(),
    )
}

/// The names of the places in a text.
#[must_use]
pub(super) fn places(text: &str) -> BTreeSet<&str> {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Place(name) => Some(name),
            Piece::Text(_) => None,
        })
        .collect()
}

/// `{` that begins no name in small letters is text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = place_at_start(rest) {
            rest = after;
            return Some(Piece::Place(name));
        }
        let end = rest
            .char_indices()
            .skip(1)
            .find(|&(at, _)| {
                rest.get(at..)
                    .is_some_and(|rest| place_at_start(rest).is_some())
            })
            .map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(text))
    })
}

fn place_at_start(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_braces_alone_are_text() {
        let pattern = Pattern("{a} und {b_c}: {\"x\": {1}} {".to_owned());
        assert_eq!(
            pattern.fill(&[("a", &1), ("b_c", &"<b>")]),
            "1 und <b>: {\"x\": {1}} {"
        );
        assert_eq!(places("{a}{b_c}{A}{}"), ["a", "b_c"].into());
        assert_eq!(
            Pattern("<i>{a}".to_owned()).markup(&[("a", &"<b>")]).0,
            "&#60;i&#62;<b>"
        );
    }
}
