//! Trace and span IDs as OpenTelemetry defines them: 16 and 8 bytes, not all zero.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A trace ID: 16 bytes, not all zero; shown as 32 lowercase hex digits, kept in Postgres as `uuid`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// A span ID: 8 bytes, not all zero; shown as 16 lowercase hex digits, kept in Postgres as `bigint`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// Takes the bytes of a wire message. `None` unless there are 16 and one of them is not zero.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; 16]>::try_from(bytes).ok()?;
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Reads 1 to 32 hex digits of any case, padding with zeros on the left as the W3C asks for 64-bit IDs.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return None;
        }
        let value = u128::from_str_radix(digits, 16).ok()?;
        Self::from_bytes(&value.to_be_bytes())
    }

    /// The ID as Postgres keeps it.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        Uuid::from_bytes(self.0)
    }

    /// The ID from what Postgres kept. `None` for the nil UUID, which we never write.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        Self::from_bytes(uuid.as_bytes())
    }

    /// The 16 bytes, in network order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// Takes the bytes of a wire message. `None` unless there are 8 and one of them is not zero.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; 8]>::try_from(bytes).ok()?;
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Reads 1 to 16 hex digits of any case, padding with zeros on the left.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return None;
        }
        let value = u64::from_str_radix(digits, 16).ok()?;
        Self::from_bytes(&value.to_be_bytes())
    }

    /// The ID as Postgres keeps it: the 8 bytes in network order, as a signed number.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        i64::from_be_bytes(self.0)
    }

    /// The ID from what Postgres kept. `None` for zero, which we never write.
    #[must_use]
    pub fn from_i64(value: i64) -> Option<Self> {
        Self::from_bytes(&value.to_be_bytes())
    }

    /// The last four bytes: what `trace_parts.span_id_tails` holds of it.
    #[must_use]
    pub fn tail(self) -> i32 {
        let [_, _, _, _, tail @ ..] = self.0;
        i32::from_be_bytes(tail)
    }

    /// The 8 bytes, in network order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_hex_is_padded_on_the_left() {
        let id = TraceId::from_hex("562809467078eab").unwrap();
        assert_eq!(id.to_string(), "00000000000000000562809467078eab");
        assert_eq!(
            SpanId::from_hex("AB").unwrap().to_string(),
            "00000000000000ab"
        );
    }

    #[test]
    fn zeros_wrong_lengths_and_other_letters_are_refused() {
        assert_eq!(TraceId::from_hex("0"), None);
        assert_eq!(TraceId::from_hex(""), None);
        assert_eq!(TraceId::from_hex("+1"), None);
        assert_eq!(TraceId::from_hex(&"f".repeat(33)), None);
        assert_eq!(TraceId::from_bytes(&[1; 15]), None);
        assert_eq!(SpanId::from_bytes(&[0; 8]), None);
        assert_eq!(SpanId::from_hex("xyz"), None);
    }

    #[test]
    fn postgres_forms_come_back() {
        let trace = TraceId::from_hex("ff00000000000000000000000000000a").unwrap();
        assert_eq!(TraceId::from_uuid(trace.as_uuid()), Some(trace));
        let span = SpanId::from_hex("ff0000000000000a").unwrap();
        assert_eq!(SpanId::from_i64(span.as_i64()), Some(span));
        assert_eq!(span.tail(), 10);
    }
}
