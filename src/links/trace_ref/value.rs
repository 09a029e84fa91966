//! Reading one word as a trace ID, in every shape that headers and tools write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Shape;
use crate::traces::ids::{SpanId, TraceId};

/// Digits of a full trace ID.
const TRACE_DIGITS: usize = 32;
/// Digits of a span ID, and of a 64-bit trace ID.
const SPAN_DIGITS: usize = 16;
/// Digits of the largest 64-bit number.
const DECIMAL_DIGITS: usize = 20;
/// Decimal trace IDs are random 64-bit numbers: 99.9% have at least this many digits. Hex of so many digits, none of
/// them a letter and not of a standard length, is rarer than that.
const LIKELY_DECIMAL_DIGITS: usize = 17;

/// What one word says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// Best first; two where hex and decimal are both possible.
    pub(super) ids: Vec<TraceId>,
    pub(super) span_id: Option<SpanId>,
    pub(super) shape: Shape,
}

impl Reading {
    fn new(shape: Shape, id: Option<TraceId>, span_id: Option<SpanId>) -> Option<Self> {
        id.map(|id| Self {
            ids: vec![id],
            span_id,
            shape,
        })
    }
}

/// Reads a word that stands alone or behind a label, where every shape may be meant.
pub(super) fn any(word: &str) -> Option<Reading> {
    certain(word)
        .or_else(|| short(word))
        .or_else(|| base64(word))
        .or_else(|| jaeger(word, 3))
}

/// Reads a word in the middle of a text, where only shapes count that are hardly ever anything else.
pub(super) fn certain(word: &str) -> Option<Reading> {
    hex(word)
        .or_else(|| traceparent(word))
        .or_else(|| uuid(word))
        .or_else(|| x_ray(word))
        .or_else(|| b3_or_sentry(word))
        .or_else(|| jaeger(word, 8))
        .or_else(|| google_cloud(word))
}

/// Whether the word holds an ID in which every bit is zero.
pub(super) fn is_zero(word: &str) -> bool {
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let mut parts = word.split(['-', ':', '/']);
    is_uuid_shape(word) && parts.clone().all(is_zero)
        || parts.any(|part| part.len() >= SPAN_DIGITS && is_zero(part))
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_hex_of(text: &str, digits: usize) -> bool {
    text.len() == digits && is_hex(text)
}

/// A span's ID of full length.
fn span_of(text: &str) -> Option<SpanId> {
    is_hex_of(text, SPAN_DIGITS).then(|| SpanId::from_hex(text))?
}

fn hex(word: &str) -> Option<Reading> {
    let id = is_hex_of(word, TRACE_DIGITS).then(|| TraceId::from_hex(word))?;
    Reading::new(Shape::Hex, id, None)
}

/// Hex of fewer digits, which may be a span's ID if there are 16, and decimal if no digit is a letter.
pub(super) fn short(word: &str) -> Option<Reading> {
    let word = word.strip_prefix("0x").unwrap_or(word);
    // "bad", "dead" and "cafe" are words; of IDs so short 1 in 50 at most has no digit.
    if word.len() < 8 && !word.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_decimal = word.len() <= DECIMAL_DIGITS && word.bytes().all(|b| b.is_ascii_digit());
    let hex = is_hex(word).then(|| TraceId::from_hex(word)).flatten();
    let number = is_decimal.then(|| word.parse::<u64>().ok()).flatten();
    let decimal = number.and_then(|number| TraceId::from_hex(&format!("{number:x}")));
    let is_likely_decimal = decimal.is_some() && word.len() >= LIKELY_DECIMAL_DIGITS;
    let (first, second) = if is_likely_decimal {
        (decimal, hex)
    } else {
        (hex, decimal)
    };
    let shape = match (is_likely_decimal, word.len()) {
        (true, _) => Shape::Decimal,
        (false, TRACE_DIGITS) => Shape::Hex,
        (false, _) => Shape::ShortHex,
    };
    let mut reading = Reading::new(shape, first, span_of(word))?;
    reading.ids.extend(second.filter(|id| Some(*id) != first));
    Some(reading)
}

/// 16 bytes in base64 of either alphabet, padded or not. Without a digit or a mix of cases it is an ordinary word.
fn base64(word: &str) -> Option<Reading> {
    if !matches!(word.len(), 22..=24) {
        return None;
    }
    let is_mixed = word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase());
    if !is_mixed && !word.bytes().any(|b| b.is_ascii_digit() || b == b'=') {
        return None;
    }
    let digits = word.trim_end_matches('=');
    let digits = digits.replace('-', "+").replace('_', "/");
    let bytes = STANDARD_NO_PAD.decode(digits).ok()?;
    Reading::new(Shape::Base64, TraceId::from_bytes(&bytes), None)
}

/// W3C Trace Context, section 3.2: `version-trace-parent-flags`; higher versions may go on behind another dash.
fn traceparent(word: &str) -> Option<Reading> {
    let mut parts = word.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = parts.next()?;
    let is_shape =
        is_hex_of(version, 2) && is_hex_of(trace, 32) && is_hex_of(span, 16) && is_hex_of(flags, 2);
    let id = is_shape.then(|| TraceId::from_hex(trace))?;
    Reading::new(Shape::Traceparent, id, span_of(span))
}

fn uuid(word: &str) -> Option<Reading> {
    let id = is_uuid_shape(word).then(|| TraceId::from_hex(&word.replace('-', "")))?;
    Reading::new(Shape::Uuid, id, None)
}

fn is_uuid_shape(word: &str) -> bool {
    let lengths = word
        .split('-')
        .map(|part| if is_hex(part) { part.len() } else { 0 });
    lengths.eq([8, 4, 4, 4, 12])
}

/// AWS X-Ray: `1-8hex-24hex`, the seconds since the epoch and 96 random bits.
fn x_ray(word: &str) -> Option<Reading> {
    let (time, random) = word.strip_prefix("1-")?.split_once('-')?;
    let is_shape = is_hex_of(time, 8) && is_hex_of(random, 24);
    let id = is_shape.then(|| TraceId::from_hex(&format!("{time}{random}")))?;
    Reading::new(Shape::XRay, id, None)
}

/// B3's single header, `trace-span[-sampled[-parent]]`, and `sentry-trace`, which is the same with a full trace ID.
fn b3_or_sentry(word: &str) -> Option<Reading> {
    let mut parts = word.split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    let sampled = parts.next().unwrap_or("1");
    let parent = parts.next().unwrap_or(span);
    let is_shape = (is_hex_of(trace, 32) || is_hex_of(trace, 16))
        && is_hex_of(span, 16)
        && matches!(sampled, "" | "0" | "1" | "d")
        && is_hex_of(parent, 16)
        && parts.next().is_none();
    let id = is_shape.then(|| TraceId::from_hex(trace))?;
    Reading::new(Shape::B3, id, span_of(span))
}

/// Jaeger's `trace:span:parent:flags`, each without its leading zeros. Times and network addresses have four short parts
/// too, hence `min_digits` of the trace.
fn jaeger(word: &str, min_digits: usize) -> Option<Reading> {
    let parts: Vec<&str> = word.splitn(5, ':').collect();
    let [trace, span, parent, flags] = parts.as_slice() else {
        return None;
    };
    let is_shape = (min_digits..=TRACE_DIGITS).contains(&trace.len())
        && [trace, span, parent, flags].iter().all(|part| is_hex(part))
        && span.len().max(parent.len()) <= SPAN_DIGITS
        && flags.len() <= 2;
    let id = is_shape.then(|| TraceId::from_hex(trace))?;
    Reading::new(Shape::Jaeger, id, SpanId::from_hex(span))
}

/// Google Cloud's `trace/span`, the span in decimal.
fn google_cloud(word: &str) -> Option<Reading> {
    let (trace, span) = word.split_once('/')?;
    let number = span.parse::<u64>().ok()?;
    let id = is_hex_of(trace, 32).then(|| TraceId::from_hex(trace))?;
    let span_id = SpanId::from_bytes(&number.to_be_bytes());
    Reading::new(Shape::GoogleCloud, id, span_id)
}
