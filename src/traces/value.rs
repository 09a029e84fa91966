//! Borrowed views of attribute values: OTLP's `AnyValue`, read in place.

use std::borrow::Cow;

use super::otlp::submessages;
use super::wire::{Field, Fields, WireError};

/// `AnyValue`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names are OTLP's")]
pub enum ValueView<'a> {
    Empty,
    String(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// An encoded `ArrayValue`; its values are read by [`array_values`].
    Array(&'a [u8]),
    /// An encoded `KeyValueList`; its entries are read by [`attributes`](super::otlp::attributes) with field 1.
    Map(&'a [u8]),
}

/// The values of an encoded `ArrayValue`.
pub fn array_values(message: &[u8]) -> impl Iterator<Item = Result<ValueView<'_>, WireError>> {
    submessages(message, 1).map(|value| ValueView::parse(value?))
}

impl<'a> ValueView<'a> {
    #[inline]
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        Fields::new(message).try_fold(Self::Empty, |value, field| value.followed_by(&field?))
    }

    /// The value after one more field of its message: the last one counts.
    #[inline]
    pub(super) fn followed_by(self, field: &Field<'a>) -> Result<Self, WireError> {
        Ok(match field.number {
            1 => Self::String(field.text()?),
            2 => Self::Bool(field.varint()? != 0),
            3 => Self::Int(signed(field.varint()?)),
            4 => Self::Double(f64::from_bits(field.fixed64()?)),
            5 => Self::Array(field.bytes()?),
            6 => Self::Map(field.bytes()?),
            7 => Self::Bytes(field.bytes()?),
            // A newer schema's value (string_value_strindex, for one) counts as absent.
            _ => self,
        })
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match *self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// As rules compare it: numbers and booleans written out; nothing for bytes, lists and maps.
    #[must_use]
    pub fn to_text(&self) -> Cow<'a, str> {
        match *self {
            Self::String(text) => Cow::Borrowed(text),
            Self::Bool(value) => Cow::Owned(value.to_string()),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
            Self::Empty | Self::Bytes(_) | Self::Array(_) | Self::Map(_) => Cow::Borrowed(""),
        }
    }

    /// The number, if it is one or a string that reads as one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int(value) => Some(value),
            Self::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Signed numbers travel as their two's complement.
pub(super) fn signed(bits: u64) -> i64 {
    bits.cast_signed()
}
