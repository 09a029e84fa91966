//! Proof, once at the door, that everything below a span, resource or scope can be read: wire format, types, UTF-8 and
//! nesting. What passed is stored, and nobody who reads it later can meet a surprise.

use super::otlp::{EventView, LinkView, SpanView, ValueView, scope_label, submessages};
use super::wire::{Field, Fields, WireError, WireValue};

/// How deep arrays and maps may nest in an attribute's value. Three messages a level, and protobuf libraries stop
/// at 100: 30 * 3 = 90.
pub const MAX_VALUE_DEPTH: usize = 30;

/// Proves that all below an encoded span can be read: wire format, types, UTF-8, nesting.
///
/// # Errors
/// What does not fit.
pub fn check_span(message: &[u8]) -> Result<SpanView<'_>, WireError> {
    let span = SpanView::parse(message)?;
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            3 => drop(field.text()?),
            9 => check_attribute(field.bytes()?, 0)?,
            10 | 12 | 14 => drop(field.varint()?),
            11 => check_attributes(field.bytes()?, 3, EventView::parse)?,
            13 => check_attributes(field.bytes()?, 4, LinkView::parse)?,
            16 => check_fixed32(&field)?,
            _ => {}
        }
    }
    Ok(span)
}

/// Proves that an encoded `Resource` or the attributes of an `InstrumentationScope` can be read.
///
/// # Errors
/// What does not fit.
pub fn check_resource(message: &[u8]) -> Result<(), WireError> {
    check_list(message, 1, 0)
}

/// Proves that an encoded `InstrumentationScope` can be read.
///
/// # Errors
/// What does not fit.
pub fn check_scope(message: &[u8]) -> Result<(), WireError> {
    scope_label(message)?;
    check_list(message, 3, 0)
}

fn check_attributes<'a, T>(
    message: &'a [u8],
    number: u32,
    parse: impl Fn(&'a [u8]) -> Result<T, WireError>,
) -> Result<(), WireError> {
    parse(message)?;
    check_list(message, number, 0)
}

fn check_list(message: &[u8], number: u32, depth: usize) -> Result<(), WireError> {
    submessages(message, number).try_for_each(|entry| check_attribute(entry?, depth))
}

fn check_attribute(entry: &[u8], depth: usize) -> Result<(), WireError> {
    for field in Fields::new(entry) {
        let field = field?;
        match field.number {
            1 => drop(field.text()?),
            2 => check_value(field.bytes()?, depth)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_value(message: &[u8], depth: usize) -> Result<(), WireError> {
    if depth > MAX_VALUE_DEPTH {
        return Err(WireError::TooDeep);
    }
    match ValueView::parse(message)? {
        ValueView::Array(values) => {
            submessages(values, 1).try_for_each(|value| check_value(value?, depth + 1))
        }
        ValueView::Map(entries) => check_list(entries, 1, depth + 1),
        _ => Ok(()),
    }
}

fn check_fixed32(field: &Field<'_>) -> Result<(), WireError> {
    match field.value {
        WireValue::Fixed32(_) => Ok(()),
        _ => Err(WireError::WrongType(field.number)),
    }
}
