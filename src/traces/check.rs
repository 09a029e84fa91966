//! Proof, once at the door, that everything below a span, resource or scope can be read: wire format, types, UTF-8,
//! nesting and counts. What passed is stored, and nobody who reads it later can meet a surprise.

use super::otlp::{Detail, EventView, LinkView, SpanView, ValueView, scope_label, submessages};
use super::wire::{Fields, WireError};

/// How deep arrays and maps may nest in an attribute's value. Three messages a level, and protobuf libraries stop
/// at 100: 30 * 3 = 90.
pub const MAX_VALUE_DEPTH: usize = 30;
/// Most attributes, events, links and values of a span, and of a resource or scope: a hundred times what is usual.
/// Two bytes of the wire are some fifty once they are shown.
pub const MAX_ITEMS: usize = 16_384;
/// Largest resource or scope: each is copied for every trace of a request.
pub const MAX_SHARED_BYTES: usize = 64 * 1024;

/// Proves that all below an encoded span can be read, and tells its attributes and events on the way.
///
/// # Errors
/// What does not fit.
pub fn check_span<'a>(
    message: &'a [u8],
    mut tell: impl FnMut(Detail<'a>),
) -> Result<SpanView<'a>, WireError> {
    let mut span = SpanView::empty(message);
    let mut items = Items(MAX_ITEMS);
    for field in Fields::new(message) {
        let field = field?;
        span.take(&field)?;
        match field.number {
            3 => drop(field.text()?),
            9 => {
                let (key, value) = items.check_attribute(field.bytes()?, 0)?;
                tell(Detail::Attribute(key, value));
            }
            10 | 12 | 14 => drop(field.varint()?),
            11 => {
                let event = EventView::parse(field.bytes()?)?;
                items.check_list(field.bytes()?, 3, 0)?;
                tell(Detail::Event(event));
            }
            13 => {
                LinkView::parse(field.bytes()?)?;
                items.check_list(field.bytes()?, 4, 0)?;
            }
            16 => drop(field.fixed32()?),
            _ => {}
        }
    }
    Ok(span)
}

/// Proves that an encoded `Resource` can be read, and is small enough to be copied.
///
/// # Errors
/// What does not fit.
pub fn check_resource(message: &[u8]) -> Result<(), WireError> {
    let mut items = Items::shared(message)?;
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => drop(items.check_attribute(field.bytes()?, 0)?),
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

/// Proves that an encoded `InstrumentationScope` can be read, and is small enough to be copied.
///
/// # Errors
/// What does not fit.
pub fn check_scope(message: &[u8]) -> Result<(), WireError> {
    scope_label(message)?;
    let mut items = Items::shared(message)?;
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            3 => drop(items.check_attribute(field.bytes()?, 0)?),
            4 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok(())
}

/// How many more attributes, events, links and values there may be.
struct Items(usize);

impl Items {
    /// Those of a resource or scope.
    fn shared(message: &[u8]) -> Result<Self, WireError> {
        if message.len() > MAX_SHARED_BYTES {
            return Err(WireError::TooLarge);
        }
        Ok(Self(MAX_ITEMS))
    }

    fn take(&mut self) -> Result<(), WireError> {
        self.0 = self.0.checked_sub(1).ok_or(WireError::TooMany)?;
        Ok(())
    }

    fn check_list(&mut self, message: &[u8], number: u32, depth: usize) -> Result<(), WireError> {
        self.take()?;
        submessages(message, number)
            .try_for_each(|entry| self.check_attribute(entry?, depth).map(drop))
    }

    #[inline]
    fn check_attribute<'a>(
        &mut self,
        entry: &'a [u8],
        depth: usize,
    ) -> Result<(&'a str, ValueView<'a>), WireError> {
        self.take()?;
        let (mut key, mut value) = ("", ValueView::Empty);
        for field in Fields::new(entry) {
            let field = field?;
            match field.number {
                1 => key = field.text()?,
                2 => value = self.check_value(field.bytes()?, depth)?,
                3 => drop(field.varint()?),
                _ => {}
            }
        }
        Ok((key, value))
    }

    /// Each of its fields, though only the last one counts: other readers of what we answer look at all of them.
    #[inline]
    fn check_value<'a>(
        &mut self,
        message: &'a [u8],
        depth: usize,
    ) -> Result<ValueView<'a>, WireError> {
        if depth > MAX_VALUE_DEPTH {
            return Err(WireError::TooDeep);
        }
        let mut value = ValueView::Empty;
        for field in Fields::new(message) {
            let field = field?;
            value = value.followed_by(&field)?;
            match field.number {
                5 => self.check_values(field.bytes()?, depth + 1)?,
                6 => self.check_list(field.bytes()?, 1, depth + 1)?,
                8 => drop(field.varint()?),
                _ => {}
            }
        }
        Ok(value)
    }

    fn check_values(&mut self, array: &[u8], depth: usize) -> Result<(), WireError> {
        submessages(array, 1).try_for_each(|value| {
            self.take()?;
            self.check_value(value?, depth).map(drop)
        })
    }
}
