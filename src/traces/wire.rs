//! Reads protobuf's wire format without copying or allocating: the fields of a message, one after the other.
//!
//! Why not decode into structs: ingest only needs a few fields of each span and keeps the rest as it came, and a
//! hostile message of two-byte spans would grow a hundredfold as structs (64 MiB to 8 GB). Borrowed fields cost
//! nothing, and a message is walked as often as needed.
//! Source: Protocol Buffers, "Encoding".

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field's length or number reaches past the end.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// More than ten bytes, or more than 64 bits.
    #[error("a number is longer than 64 bits")]
    Overlong,
    /// Wire types 3, 4 (groups), 6, 7, or field number 0.
    #[error("a field has a wire type or number that OTLP does not use")]
    BadTag,
    /// A known field with another wire type than the schema's.
    #[error("field {0} has another type than OTLP gives it")]
    WrongType(u32),
    /// A string field whose bytes are not UTF-8.
    #[error("field {0} is not valid UTF-8")]
    NotUtf8(u32),
    /// More than [`super::check::MAX_ITEMS`].
    #[error(
        "there are more than {} attributes, events, links and values",
        super::check::MAX_ITEMS
    )]
    TooMany,
    /// A resource or scope over [`super::check::MAX_SHARED_BYTES`].
    #[error("a resource or scope is over {} bytes", super::check::MAX_SHARED_BYTES)]
    TooLarge,
    /// Attribute values nested deeper than [`super::check::MAX_VALUE_DEPTH`].
    #[error("an attribute's value is nested too deep")]
    TooDeep,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WireType {
    /// Wire type 0.
    Varint,
    /// Wire type 1.
    Fixed64,
    /// Wire type 2: strings, bytes, messages.
    Bytes,
    /// Wire type 5.
    Fixed32,
}

/// One field: its number and value. Flat, not an enum of values: copying one that was just written, with its number
/// before it, stalls the processor, and a span has fifty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// The field's number in the schema.
    pub number: u32,
    wire_type: WireType,
    /// Of a number.
    bits: u64,
    /// Of bytes.
    bytes: &'a [u8],
}

/// The fields of a message in the order they came; ends after the first error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first field of `message`.
    #[must_use]
    #[inline]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self
            .rest
            .split_at_checked(count)
            .ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Nearly all tags and lengths are one byte.
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit: 9 * 7 + 1 = 64.
            if index == 9 && bits > 1 {
                return Err(WireError::Overlong);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.take(index + 1)?;
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            WireError::Truncated
        } else {
            WireError::Overlong
        })
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_too_large| WireError::BadTag)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(WireError::BadTag);
        }
        let (wire_type, bits, bytes): (_, _, &[u8]) = match tag & 7 {
            0 => (WireType::Varint, self.varint()?, &[]),
            1 => (WireType::Fixed64, u64::from_le_bytes(self.array()?), &[]),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_too_large| WireError::Truncated)?;
                (WireType::Bytes, 0, self.take(length)?)
            }
            5 => (
                WireType::Fixed32,
                u32::from_le_bytes(self.array()?).into(),
                &[],
            ),
            _ => return Err(WireError::BadTag),
        };
        Ok(Field {
            number,
            wire_type,
            bits,
            bytes,
        })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        <[u8; N]>::try_from(self.take(N)?).map_err(|_length| WireError::Truncated)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    #[inline]
    fn bits_of(&self, wire_type: WireType) -> Result<u64, WireError> {
        if self.wire_type == wire_type {
            Ok(self.bits)
        } else {
            Err(WireError::WrongType(self.number))
        }
    }

    /// The bytes of a length-delimited field.
    ///
    /// # Errors
    /// [`WireError::WrongType`] for any other wire type.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        self.bits_of(WireType::Bytes).map(|_none| self.bytes)
    }

    /// The text of a string field.
    ///
    /// # Errors
    /// [`WireError::WrongType`] or [`WireError::NotUtf8`].
    #[inline]
    pub fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_invalid| WireError::NotUtf8(self.number))
    }

    /// The value of an integer, bool or enum field.
    ///
    /// # Errors
    /// [`WireError::WrongType`] for any other wire type.
    #[inline]
    pub fn varint(&self) -> Result<u64, WireError> {
        self.bits_of(WireType::Varint)
    }

    /// The value of a `fixed64` or `double` field, as bits.
    ///
    /// # Errors
    /// [`WireError::WrongType`] for any other wire type.
    #[inline]
    pub fn fixed64(&self) -> Result<u64, WireError> {
        self.bits_of(WireType::Fixed64)
    }

    /// The value of a `fixed32` field.
    ///
    /// # Errors
    /// [`WireError::WrongType`] for any other wire type.
    #[inline]
    pub fn fixed32(&self) -> Result<u32, WireError> {
        let bits = self.bits_of(WireType::Fixed32)?;
        u32::try_from(bits).map_err(|_never| WireError::WrongType(self.number))
    }

    /// The value of a field that is a number of any kind.
    ///
    /// # Errors
    /// [`WireError::WrongType`] for bytes.
    pub fn number_value(&self) -> Result<u64, WireError> {
        match self.wire_type {
            WireType::Varint | WireType::Fixed64 | WireType::Fixed32 => Ok(self.bits),
            WireType::Bytes => Err(WireError::WrongType(self.number)),
        }
    }
}

/// How many bytes [`put_message`] writes for a payload of `length` bytes under a field number below 16.
#[must_use]
pub fn message_size(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

/// Writes the tag and length of a length-delimited field whose payload the caller writes next.
/// `number` must be below 16, so that the tag is one byte; all of OTLP's outer messages are.
pub fn put_header(out: &mut Vec<u8>, number: u8, length: usize) {
    out.push((number << 3) | 2);
    put_varint(out, length as u64);
}

/// Writes a whole length-delimited field.
pub fn put_message(out: &mut Vec<u8>, number: u8, payload: &[u8]) {
    put_header(out, number, payload.len());
    out.extend_from_slice(payload);
}

fn varint_size(value: u64) -> usize {
    // Seven bits a byte, and one byte for zero.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_wire_type_is_read() {
        let bytes = [
            0x08, 0x96, 0x01, // field 1, varint 150
            0x12, 0x02, b'h', b'i', // field 2, bytes
            0x1d, 1, 0, 0, 0, // field 3, fixed32
            0x21, 2, 0, 0, 0, 0, 0, 0, 0, // field 4, fixed64
        ];
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0].varint(), Ok(150));
        assert_eq!(fields[1].bytes(), Ok(&b"hi"[..]));
        assert_eq!(fields[2].fixed32(), Ok(1));
        assert_eq!(fields[3].fixed64(), Ok(2));
        assert_eq!(fields[3].bytes(), Err(WireError::WrongType(4)));
    }

    #[test]
    fn broken_messages_are_told_apart() {
        let first = |bytes: &[u8]| Fields::new(bytes).next().unwrap().unwrap_err();
        assert_eq!(first(&[0x12, 0x05, b'x']), WireError::Truncated);
        assert_eq!(first(&[0x08]), WireError::Truncated);
        assert_eq!(first(&[0x08, 0x80]), WireError::Truncated);
        assert_eq!(first(&[0xff; 11]), WireError::Overlong);
        assert_eq!(first(&[0x0b]), WireError::BadTag);
        assert_eq!(first(&[0x00, 0x00]), WireError::BadTag);
        // Field 2^29: other readers refuse it.
        assert_eq!(
            first(&[0x80, 0x80, 0x80, 0x80, 0x10, 0x00]),
            WireError::BadTag
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Fields::new(&bytes).count() <= bytes.len());
        }

        #[test]
        fn written_messages_read_back(payload in proptest::collection::vec(any::<u8>(), 0..400), number in 1_u8..16) {
            let mut out = Vec::new();
            put_message(&mut out, number, &payload);
            prop_assert_eq!(out.len(), message_size(payload.len()));
            let field = Fields::new(&out).next().unwrap().unwrap();
            prop_assert_eq!(field.number, u32::from(number));
            prop_assert_eq!(field.bytes().unwrap(), &payload[..]);
        }
    }
}
