//! Walking a large JSON text level by level without building it in memory: lists and objects are slices of the text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A place in a text. Lines and columns count from 1, columns in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The byte in the line.
    pub column: usize,
}

impl Position {
    /// The first byte of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place that follows `text`, which itself starts here.
    pub(in crate::ingest) fn after(self, text: &[u8]) -> Self {
        let mut lines = text.split(|&byte| byte == b'\n');
        let tail = lines.next_back().unwrap_or_default();
        self.shifted(lines.count(), tail.len())
    }

    /// The place `breaks` lines further down and, on that line, `columns` further on.
    fn shifted(self, breaks: usize, columns: usize) -> Self {
        let column = if breaks == 0 { self.column } else { 1 };
        Self {
            line: self.line + breaks,
            column: column + columns,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a JSON text as a whole is refused; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Some bytes are not UTF-8.
    #[error("The text is not UTF-8 at {at}; JSON must be sent as UTF-8.")]
    NotUtf8 {
        /// The first bad byte.
        at: Position,
    },
    /// The text breaks the grammar of JSON.
    #[error("The text is not valid JSON at {at}: {reason}.")]
    Syntax {
        /// Where the parser stopped.
        at: Position,
        /// The parser's words.
        reason: String,
    },
    /// A part has another type than the format gives it.
    #[error("{what} at {at} must be {wanted}.")]
    Shape {
        /// The part, by its key.
        what: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// Where it starts.
        at: Position,
    },
    /// The object is JSON, but not of this format.
    #[error("The JSON object has no \"{key}\", so it is not {format}.")]
    OtherFormat {
        /// The key that is missing.
        key: &'static str,
        /// The format's name.
        format: &'static str,
    },
    /// The processes that a Jaeger trace's spans name can't be read.
    #[error("The processes at {at} can't be used: the object {reason}.")]
    Processes {
        /// Where they start.
        at: Position,
        /// What is wrong with them.
        reason: String,
    },
    /// A list is longer than we take.
    #[error("There are more than {max} {what} in one request; send them in several.")]
    TooMany {
        /// What the list holds.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// A JSON text and where it stands in a larger one.
pub(in crate::ingest) struct Document<'a> {
    text: &'a str,
    base: Position,
}

impl<'a> Document<'a> {
    /// Takes the bytes of a body or a record, dropping a byte order mark.
    pub(in crate::ingest) fn new(bytes: &'a [u8], base: Position) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
            at: base.after(bytes.get(..error.valid_up_to()).unwrap_or_default()),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self { text, base })
    }

    /// The one value of the text, with its syntax checked to the end.
    pub(in crate::ingest) fn root(&self) -> Result<&'a RawValue, JsonError> {
        serde_json::from_str(self.text).map_err(|error| syntax_error(&error, self.base))
    }

    /// Where a part of this text starts.
    pub(in crate::ingest) fn position(&self, part: &RawValue) -> Position {
        let start = self.text.as_ptr().addr();
        let offset = part.get().as_ptr().addr().saturating_sub(start);
        self.base
            .after(self.text.as_bytes().get(..offset).unwrap_or_default())
    }

    /// The wanted fields of an object, as `T` names them.
    pub(in crate::ingest) fn object<T: Deserialize<'a>>(
        &self,
        raw: &'a RawValue,
        what: &'static str,
    ) -> Result<T, JsonError> {
        if !raw.get().starts_with('{') {
            return Err(self.shape(raw, what, "an object"));
        }
        serde_json::from_str(raw.get()).map_err(|error| syntax_error(&error, self.position(raw)))
    }

    /// The elements of a list, `null` ones left out; an absent or `null` list is empty.
    pub(in crate::ingest) fn items(
        &self,
        raw: Option<&'a RawValue>,
        what: &'static str,
        max: usize,
    ) -> Result<Vec<&'a RawValue>, JsonError> {
        let Some(raw) = raw.filter(|raw| !is_null(raw)) else {
            return Ok(Vec::new());
        };
        if !raw.get().starts_with('[') {
            return Err(self.shape(raw, what, "a list"));
        }
        let items = serde_json::Deserializer::from_str(raw.get())
            .deserialize_seq(ItemsVisitor { max })
            .map_err(|error| syntax_error(&error, self.position(raw)))?;
        items.ok_or(JsonError::TooMany { what, max })
    }

    fn shape(&self, raw: &RawValue, what: &'static str, wanted: &'static str) -> JsonError {
        let at = self.position(raw);
        JsonError::Shape { what, wanted, at }
    }
}

/// For fields where a `null` must be told from a missing key: `Some` for whatever is there.
pub(in crate::ingest) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whether the value is `null`, which everywhere means absent.
pub(in crate::ingest) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

fn syntax_error(error: &serde_json::Error, base: Position) -> JsonError {
    let words = error.to_string();
    let reason = words.split(" at line ").next().unwrap_or_default();
    JsonError::Syntax {
        at: base.shifted(
            error.line().saturating_sub(1),
            error.column().saturating_sub(1),
        ),
        reason: reason.to_owned(),
    }
}

/// Gathers a list of at most `max` elements; a longer one is read to its end and yields `None`.
struct ItemsVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<&RawValue>()? {
            if is_null(item) {
                continue;
            }
            if items.len() == self.max {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            items.push(item);
        }
        Ok(Some(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_bytes() {
        let base = Position { line: 7, column: 3 };
        assert_eq!(base.after(b"ab"), Position { line: 7, column: 5 });
        assert_eq!(base.after(b"ab\ncd\ne"), Position { line: 9, column: 2 });
        assert_eq!(Position::START.after(b""), Position::START);
    }

    #[test]
    fn lists_over_the_limit_are_refused_without_being_built() {
        let text = format!("[{}null]", "{},".repeat(5));
        let document = Document::new(text.as_bytes(), Position::START).unwrap();
        let root = document.root().unwrap();
        assert_eq!(document.items(Some(root), "spans", 5).unwrap().len(), 5);
        assert!(matches!(
            document.items(Some(root), "spans", 4),
            Err(JsonError::TooMany { max: 4, .. })
        ));
    }

    #[test]
    fn syntax_errors_name_the_place_in_the_larger_text() {
        let base = Position {
            line: 10,
            column: 5,
        };
        let document = Document::new(b"{\n \"a\": nope}", base).unwrap();
        let error = document.root().unwrap_err().to_string();
        assert!(error.contains("line 11, column 8"), "{error}");
    }
}
