//! Proof, once at the door, that everything below a span, resource or scope can be read: wire format, types, UTF-8 and
//! nesting. What passed is stored, and nobody who reads it later can meet a surprise.

use super::otlp::{EventView, LinkView, SpanView, scope_label, submessages};
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

/// Proves that an encoded `Resource` can be read.
///
/// # Errors
/// What does not fit.
pub fn check_resource(message: &[u8]) -> Result<(), WireError> {
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => check_attribute(field.bytes()?, 0)?,
            2 => drop(field.varint()?),
            3 => check_entity(field.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}

/// `EntityRef`: texts only.
fn check_entity(message: &[u8]) -> Result<(), WireError> {
    for field in Fields::new(message) {
        let field = field?;
        if matches!(field.number, 1..=4) {
            field.text()?;
        }
    }
    Ok(())
}

/// Proves that an encoded `InstrumentationScope` can be read.
///
/// # Errors
/// What does not fit.
pub fn check_scope(message: &[u8]) -> Result<(), WireError> {
    scope_label(message)?;
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            3 => check_attribute(field.bytes()?, 0)?,
            4 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
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
            3 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
}

/// Each of its fields, though only the last one counts: other readers of what we answer look at all of them.
fn check_value(message: &[u8], depth: usize) -> Result<(), WireError> {
    if depth > MAX_VALUE_DEPTH {
        return Err(WireError::TooDeep);
    }
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => drop(field.text()?),
            2 | 3 | 8 => drop(field.varint()?),
            4 => drop(field.fixed64()?),
            5 => submessages(field.bytes()?, 1)
                .try_for_each(|value| check_value(value?, depth + 1))?,
            6 => check_list(field.bytes()?, 1, depth + 1)?,
            7 => drop(field.bytes()?),
            _ => {}
        }
    }
    Ok(())
}

fn check_fixed32(field: &Field<'_>) -> Result<(), WireError> {
    match field.value {
        WireValue::Fixed32(_) => Ok(()),
        _ => Err(WireError::WrongType(field.number)),
    }
}
