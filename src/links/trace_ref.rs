//! Finding the trace ID in whatever a person pasted: an ID in any notation, a header, a line of a log, an error body, the
//! address of a tracing tool's page. Pure, and linear in the length of the text.
//!
//! A text that is one word may be an ID in every shape (`value::any`). In a longer one, values with a name in front
//! come first (`label`), then what can hardly be anything else (`value::certain`), and only if there is none of
//! these, 64-bit hex.

mod label;
mod value;

use percent_encoding::percent_decode_str;

use crate::traces::ids::{SpanId, TraceId};
use value::Reading;

/// The longest text that is searched, in bytes: a page of a log.
pub const MAX_TEXT_BYTES: usize = 10_000;

/// Trace IDs offered of one text; each is a look-up.
pub const MAX_CANDIDATES: usize = 5;

/// What a text says about a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRef {
    /// Best first, all different, between 1 and [`MAX_CANDIDATES`].
    pub candidates: Vec<TraceId>,
    /// The span that the text names, or may itself be: 16 hex digits are either a short trace ID or a span's ID.
    pub span_id: Option<SpanId>,
    /// How the best candidate was read.
    pub shape: Shape,
}

/// The notation that a trace ID was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`label` says what each is")]
pub enum Shape {
    Hex,
    ShortHex,
    Decimal,
    Uuid,
    Base64,
    Traceparent,
    B3,
    Jaeger,
    Sentry,
    XRay,
    GoogleCloud,
    ServerTiming,
    Labelled,
    Json,
    Url,
    Text,
}

impl Shape {
    /// The end of "we read this as ...".
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Hex => "a trace ID",
            Self::ShortHex => "a short trace ID, filled up with zeros",
            Self::Decimal => "a trace ID in decimal, as Datadog writes it",
            Self::Uuid => "a trace ID written as a UUID",
            Self::Base64 => "a trace ID in base64",
            Self::Traceparent => "a traceparent header",
            Self::B3 => "a B3 header",
            Self::Jaeger => "an uber-trace-id header",
            Self::Sentry => "a sentry-trace header",
            Self::XRay => "a trace ID of AWS X-Ray",
            Self::GoogleCloud => "an X-Cloud-Trace-Context header",
            Self::ServerTiming => "a Server-Timing header",
            Self::Labelled => "a text that names its trace ID",
            Self::Json => "JSON with a trace ID in it",
            Self::Url => "the address of a trace",
            Self::Text => "a text with a trace ID in it",
        }
    }
}

/// Why there is no trace ID in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceRefError {
    /// Nothing but blanks.
    #[error(
        "No trace ID was given. It looks like 4bf92f3577b34da6a3ce929d0e0e4736: 32 digits from 0-9 and a-f."
    )]
    Empty,
    /// The ID that tracers write when they record nothing.
    #[error(
        "This trace ID is all zeros, which means that nothing was recorded. Please look for another one; it has 32 digits from 0-9 and a-f."
    )]
    AllZero,
    /// More than [`MAX_TEXT_BYTES`].
    #[error(
        "This text is longer than {MAX_TEXT_BYTES} bytes. Please paste only the trace ID, 32 digits from 0-9 and a-f, or the line that has it."
    )]
    TooLong,
    /// No shape that we know.
    #[error(
        "There is no trace ID in this text. It looks like 4bf92f3577b34da6a3ce929d0e0e4736: 32 digits from 0-9 and a-f, sometimes with dashes."
    )]
    NotFound,
}

/// What stands behind "trace:" without "ID" in its name may be any number, as in "stack trace: 500", unless it is long.
const MIN_UNNAMED_CHARS: usize = 8;

/// Headers by a part of their name that nothing else has, in the order to look for them.
const HEADERS: [(&str, Shape); 8] = [
    ("server-timing", Shape::ServerTiming),
    ("trace;desc", Shape::ServerTiming),
    ("traceparent", Shape::Traceparent),
    ("uber-trace-id", Shape::Jaeger),
    ("sentry-trace", Shape::Sentry),
    ("x-cloud-trace", Shape::GoogleCloud),
    ("x-amzn-trace", Shape::XRay),
    ("x-b3-", Shape::B3),
];

/// Finds the trace IDs in a text.
///
/// # Errors
/// When there is none; [`TraceRefError`] says in words for people what is wrong.
pub fn parse(text: &str) -> Result<TraceRef, TraceRefError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TraceRefError::TooLong);
    }
    let text = clean(text);
    if text.trim().is_empty() {
        return Err(TraceRefError::Empty);
    }
    if let Some(found) = whole(trim(&text)) {
        return Ok(found);
    }
    search(&text).ok_or_else(|| {
        let is_zero = !text.contains(|c: char| c.is_ascii_alphanumeric() && c != '0')
            && text.contains('0')
            || words(&text).any(value::is_zero);
        if is_zero {
            TraceRefError::AllZero
        } else {
            TraceRefError::NotFound
        }
    })
}

/// Undoes percent-encoding, twice as addresses inside addresses have it; drops what can't be seen; makes every blank a
/// space and every dash a hyphen.
fn clean(text: &str) -> String {
    let once = percent_decode_str(text).decode_utf8_lossy();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    twice
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            c if c.is_whitespace() || c.is_control() => ' ',
            c => c,
        })
        .collect()
}

/// Zero-width characters, marks of writing direction, soft hyphens, byte order marks.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// Drops quotes, brackets and punctuation around a word, but nothing that base64 may start or end with.
fn trim(text: &str) -> &str {
    let is_around = |c: char| !(c.is_ascii_alphanumeric() || "+/=-_".contains(c));
    text.trim_matches(is_around).trim_start_matches('=')
}

/// Reads a text that is nothing but an ID or the value of a header. Mail programs break long IDs into several lines.
fn whole(text: &str) -> Option<TraceRef> {
    let bare = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let joined = || value::certain(&bare.replace(' ', ""));
    let is_id = |reading: &Reading| matches!(reading.shape, Shape::Hex | Shape::Uuid);
    let reading = value::any(text)
        .or_else(|| value::any(bare))
        .or_else(|| joined().filter(is_id))?;
    Some(TraceRef {
        candidates: reading.ids,
        span_id: reading.span_id,
        shape: reading.shape,
    })
}

fn search(text: &str) -> Option<TraceRef> {
    let lower = text.to_ascii_lowercase();
    let is_url = lower.contains("://");
    let mut readings = labelled(text, &lower, is_url);
    let named = readings.len();
    readings.extend(words(text).flat_map(certain).filter(|reading| {
        // Addresses are full of UUIDs that are no traces.
        !(is_url && reading.shape == Shape::Uuid)
    }));
    if readings.is_empty() {
        readings.extend(words(text).flat_map(|word| word.split([':', '/']).filter_map(weak)));
    }
    let best = readings.first()?;
    let header_span = best.span_id.or_else(|| span(text, &lower));
    let shape = shape(text, &lower, best.shape, named > 0);
    let mut candidates = Vec::new();
    for id in readings.into_iter().flat_map(|reading| reading.ids) {
        if candidates.len() < MAX_CANDIDATES && !candidates.contains(&id) {
            candidates.push(id);
        }
    }
    Some(TraceRef {
        candidates,
        span_id: header_span,
        shape,
    })
}

/// The words of a text with the characters that hold values together.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "-:/".contains(c)))
        .map(|word| word.trim_matches(['-', ':', '/']))
}

fn labelled(text: &str, lower: &str, is_url: bool) -> Vec<Reading> {
    let names = [
        ("trace", &["id", "parent", "context"][..]),
        ("apm", &[]),
        ("root", &[]),
    ];
    names
        .into_iter()
        .flat_map(|(name, suffixes)| label::values(text, lower, name, suffixes))
        .filter(|value| value.is_named || is_url || value.text.len() >= MIN_UNNAMED_CHARS)
        .filter_map(|value| {
            let text = if is_url {
                until(value.text, |c| c == '/')
            } else {
                value.text
            };
            value::any(text)
                .or_else(|| value::any(until(text, |c| c == '/')))
                .or_else(|| value::any(until(text, |c| !(c.is_ascii_alphanumeric() || c == '-'))))
        })
        .collect()
}

fn until(text: &str, is_end: impl Fn(char) -> bool) -> &str {
    text.split(is_end).next().unwrap_or_default()
}

/// Reads a word of a longer text; else its parts, so that `req:4bf9...` and `id-4bf9...` are found.
fn certain(word: &str) -> Vec<Reading> {
    if let Some(reading) = value::certain(word) {
        return vec![reading];
    }
    let parts = word.split([':', '/']);
    let readings: Vec<Reading> = parts.filter_map(value::certain).collect();
    if !readings.is_empty() {
        return readings;
    }
    let parts = word.split(['-', ':', '/']).filter_map(value::certain);
    parts.take(MAX_CANDIDATES).collect()
}

/// Hex that is long enough and mixed enough to be an ID.
fn weak(word: &str) -> Option<Reading> {
    let has = |is_wanted: fn(&u8) -> bool| word.as_bytes().iter().any(is_wanted);
    let is_likely =
        (16..=31).contains(&word.len()) && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    is_likely.then(|| value::short(word))?
}

/// A span that the text names beside the trace.
fn span(text: &str, lower: &str) -> Option<SpanId> {
    let names = [("span", &["id"][..]), ("parent", &[])];
    names
        .into_iter()
        .flat_map(|(name, suffixes)| label::values(text, lower, name, suffixes))
        .find_map(|value| value::short(value.text)?.span_id)
}

fn shape(text: &str, lower: &str, found: Shape, is_named: bool) -> Shape {
    let header = HEADERS.iter().find(|(name, _)| lower.contains(name));
    match found {
        _ if ["{", "[{"]
            .iter()
            .any(|start| text.trim_start().starts_with(start)) =>
        {
            Shape::Json
        }
        _ if lower.contains("://") => Shape::Url,
        found if is_own_notation(found) && header.is_none() => found,
        _ if let Some((_, shape)) = header => *shape,
        _ if is_named => Shape::Labelled,
        _ => Shape::Text,
    }
}

/// Whether the notation alone says where it comes from.
fn is_own_notation(shape: Shape) -> bool {
    !matches!(
        shape,
        Shape::Hex | Shape::ShortHex | Shape::Decimal | Shape::Uuid | Shape::Base64
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";
    const SHORT: &str = "a3ce929d0e0e4736";

    fn id(hex: &str) -> TraceId {
        TraceId::from_hex(hex).unwrap()
    }

    /// The best candidate, the span, and the shape.
    fn read(text: &str) -> (String, String, Shape) {
        let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let best = found.candidates[0].to_string();
        let span = found.span_id.map(|span| span.to_string());
        (
            best.trim_start_matches('0').to_owned(),
            span.unwrap_or_default(),
            found.shape,
        )
    }

    fn check(cases: &[(&str, &str, &str, Shape)]) {
        for (text, trace, span, shape) in cases {
            let expected = ((*trace).to_owned(), (*span).to_owned(), *shape);
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn bare_ids() {
        use Shape::*;
        check(&[
            (ID, ID, "", Hex),
            ("4BF92F3577B34DA6A3CE929D0E0E4736", ID, "", Hex),
            ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", ID, "", Uuid),
            (
                "4bf92f35\u{2011}77b3\u{2011}4da6\u{2011}a3ce\u{2011}929d0e0e4736",
                ID,
                "",
                Uuid,
            ),
            ("{4BF92F35-77B3-4DA6-A3CE-929D0E0E4736}", ID, "", Uuid),
            ("4bf92f3577b34da6\n  a3ce929d0e0e4736", ID, "", Hex),
            (SHORT, SHORT, SHORT, ShortHex),
            ("00f067aa0ba902b7", "f067aa0ba902b7", SPAN, ShortHex),
            ("f067aa0ba902b7", "f067aa0ba902b7", "", ShortHex),
            ("1f", "1f", "", ShortHex),
            ("1", "1", "", ShortHex),
            ("0x4bf92f3577b34da6a3ce929d0e0e4736", ID, "", Hex),
            ("S/kvNXezTaajzpKdDg5HNg==", ID, "", Base64),
            ("S/kvNXezTaajzpKdDg5HNg", ID, "", Base64),
            ("S_kvNXezTaajzpKdDg5HNg", ID, "", Base64),
            ("S_kvNXezTaajzpKdDg5HNg==", ID, "", Base64),
        ]);
    }

    #[test]
    fn headers_with_and_without_their_name() {
        use Shape::*;
        let zipkin = "80f198ee56343ba864fe8b2a57d3eff7";
        check(&[
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                ID,
                SPAN,
                Traceparent,
            ),
            (
                "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                ID,
                SPAN,
                Traceparent,
            ),
            (
                "Traceparent:cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-ever",
                ID,
                SPAN,
                Traceparent,
            ),
            (
                "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
                zipkin,
                "e457b5a2e4d86bd1",
                B3,
            ),
            (
                "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d",
                zipkin,
                "e457b5a2e4d86bd1",
                B3,
            ),
            (
                "b3=a3ce929d0e0e4736-e457b5a2e4d86bd1",
                SHORT,
                "e457b5a2e4d86bd1",
                B3,
            ),
            ("X-B3-TraceId: 4bf92f3577b34da6a3ce929d0e0e4736", ID, "", B3),
            (
                "X-B3-TraceId: a3ce929d0e0e4736\nX-B3-SpanId: 00f067aa0ba902b7",
                SHORT,
                SHORT,
                B3,
            ),
        ]);
    }

    #[test]
    fn headers_of_other_tools() {
        use Shape::*;
        check(&[
            (
                "uber-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1",
                ID,
                SPAN,
                Jaeger,
            ),
            (
                "uber-trace-id: abc%3A2%3A0%3A1",
                "abc",
                "0000000000000002",
                Jaeger,
            ),
            (
                "uber-trace-id=929d0e0e4736:f067aa0ba902b7:0:1",
                "929d0e0e4736",
                SPAN,
                Jaeger,
            ),
            (
                "4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1",
                ID,
                SPAN,
                Jaeger,
            ),
            (
                "sentry-trace: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
                ID,
                SPAN,
                Sentry,
            ),
            (
                "sentry-trace: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                ID,
                SPAN,
                Sentry,
            ),
        ]);
    }

    #[test]
    fn headers_of_clouds() {
        use Shape::*;
        check(&[
            (
                "X-Cloud-Trace-Context: 4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1",
                ID,
                SPAN,
                GoogleCloud,
            ),
            (
                "4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1",
                ID,
                SPAN,
                GoogleCloud,
            ),
            ("1-4bf92f35-77b34da6a3ce929d0e0e4736", ID, "", XRay),
            ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736", ID, "", XRay),
            (
                "X-Amzn-Trace-Id: Self=1-67891234-12456789abcdef012345678a;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;\
              Parent=00f067aa0ba902b7;Sampled=1",
                ID,
                SPAN,
                XRay,
            ),
            (
                "Server-Timing: trace;desc=\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
                ID,
                SPAN,
                ServerTiming,
            ),
            (
                "trace;desc=4bf92f3577b34da6a3ce929d0e0e4736",
                ID,
                "",
                ServerTiming,
            ),
            (
                "x-datadog-trace-id: 11803532876627986230",
                "a3ce929d0e0e4736",
                "",
                Labelled,
            ),
        ]);
    }

    #[test]
    fn texts_that_name_the_id() {
        use Shape::*;
        check(&[
            (
                "trace_id=4bf92f3577b34da6a3ce929d0e0e4736",
                ID,
                "",
                Labelled,
            ),
            (
                "Trace ID: 4bf92f3577b34da6a3ce929d0e0e4736.",
                ID,
                "",
                Labelled,
            ),
            (
                "trace id is `4bf92f3577b34da6a3ce929d0e0e4736`",
                ID,
                "",
                Labelled,
            ),
            (
                "Something went wrong (trace-id a3ce929d0e0e4736)",
                SHORT,
                SHORT,
                Labelled,
            ),
            ("traceId=\"929d0e0e4736 \"", "929d0e0e4736", "", Labelled),
            ("trace.id: S/kvNXezTaajzpKdDg5HNg==", ID, "", Labelled),
            (
                "TraceID => 4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
                ID,
                "",
                Labelled,
            ),
            (
                "Trace ID\n4bf92f3577b34da6a3ce929d0e0e4736\nSpan ID\n00f067aa0ba902b7",
                ID,
                SPAN,
                Labelled,
            ),
            (
                "ERROR dd.trace_id=11803532876627986230 dd.span_id=1",
                "a3ce929d0e0e4736",
                "",
                Labelled,
            ),
            (
                "it failed at 10:30:12:15, 4bf92f3577b34da6a3ce929d0e0e4736 was shown",
                ID,
                "",
                Text,
            ),
            ("req-4bf92f3577b34da6a3ce929d0e0e4736 failed", ID, "", Text),
            (
                "[svc,4bf92f3577b34da6a3ce929d0e0e4736,00f067aa0ba902b7,true] oops",
                ID,
                "",
                Text,
            ),
            ("it said a3ce929d0e0e4736 on the page", SHORT, SHORT, Text),
            ("span_id=00f067aa0ba902b7", "f067aa0ba902b7", SPAN, Text),
        ]);
    }

    #[test]
    fn json_bodies_whole_or_cut_off() {
        use Shape::Json;
        check(&[
            (
                r#"{"error":{"message":"no","details":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}]}}"#,
                ID,
                "",
                Json,
            ),
            (
                r#"{"trace_id": "a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}"#,
                SHORT,
                SHORT,
                Json,
            ),
            (r#"{"traceID":11803532876627986230,"#, SHORT, "", Json),
            (r#"{"trace-id":"4bf92f35"#, "4bf92f35", "", Json),
            (
                r#"{"title":"x","trace":{"id":"929d0e0e4736","state":"linked"}}"#,
                "929d0e0e4736",
                "",
                Json,
            ),
            (
                r#"{"body":"{\"trace_id\":\"929d0e0e4736\"}"}"#,
                "929d0e0e4736",
                "",
                Json,
            ),
            (
                r#"{"logging.googleapis.com/trace":"projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736"}"#,
                ID,
                "",
                Json,
            ),
        ]);
    }

    #[test]
    fn addresses_of_tracing_tools() {
        let short = "https://jaeger.example.com/trace/929d0e0e4736";
        assert_eq!(
            read(short),
            ("929d0e0e4736".into(), String::new(), Shape::Url)
        );
        for url in [
            "https://jaeger.example.com/jaeger/trace/4bf92f3577b34da6a3ce929d0e0e4736?uiFind=00f067aa0ba902b7",
            "http://localhost:9411/zipkin/traces/4bf92f3577b34da6a3ce929d0e0e4736",
            "https://g.example.com/explore?left=%7B%22queries%22:%5B%7B%22query%22:%224bf92f3577b34da6a3ce929d0e0e4736%22%7D%5D%7D",
            "https://ui.honeycomb.io/t/datasets/d/trace?trace_id=4bf92f3577b34da6a3ce929d0e0e4736&trace_start_ts=1700000000",
            "https://app.datadoghq.com/apm/trace/4bf92f3577b34da6a3ce929d0e0e4736?spanID=5",
            "https://app.datadoghq.com/apm/traces?query=%40trace_id%3A4bf92f3577b34da6a3ce929d0e0e4736",
            "https://o.sentry.io/performance/trace/4bf92f3577b34da6a3ce929d0e0e4736/?statsPeriod=14d",
            "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#xray:traces/1-4bf92f35-77b34da6a3ce929d0e0e4736",
            "https://console.cloud.google.com/traces/list?project=p&tid=4bf92f3577b34da6a3ce929d0e0e4736",
            "https://kibana.example.com/app/apm/link-to/trace/4bf92f3577b34da6a3ce929d0e0e4736",
            "https://x.example.com/apm/4bf92f35-77b3-4da6-a3ce-929d0e0e4736/spans",
            "see <https://x.example.com/#/traces/4bf92f3577b34da6a3ce929d0e0e4736>.",
            "https://x.example.com/login?next=https%253A%252F%252Fy%252Ftrace%252F4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            let (trace, _, shape) = read(url);
            assert_eq!((trace.as_str(), shape), (ID, Shape::Url), "{url}");
        }
    }

    #[test]
    fn digits_that_may_be_decimal_or_hex_are_both() {
        for (text, candidates) in [
            ("11803532876627986230", [SHORT, "11803532876627986230"]),
            ("12345678901234567", ["2bdc545d6b4b87", "12345678901234567"]),
            ("1234567890123456", ["1234567890123456", "462d53c8abac0"]),
            ("0000000000012345678", ["bc614e", "12345678"]),
        ] {
            assert_eq!(
                parse(text).unwrap().candidates,
                candidates.map(id),
                "{text}"
            );
        }
        let too_large = parse("99999999999999999999").unwrap();
        assert_eq!(too_large.candidates, [id("99999999999999999999")]);
    }

    #[test]
    fn several_ids_are_all_candidates() {
        let line = format!(
            "GET /x 7b1e2f3577b34da6a3ce929d0e0e4736 trace_id={ID} {ID} 550e8400-e29b-41d4-a716-446655440000"
        );
        let ids = [
            ID,
            "7b1e2f3577b34da6a3ce929d0e0e4736",
            "550e8400e29b41d4a716446655440000",
        ];
        assert_eq!(parse(&line).unwrap().candidates, ids.map(id));
        let many: Vec<String> = (1..=9).map(|n| format!("{n}{}", &ID[1..])).collect();
        assert_eq!(
            parse(&many.join(" ")).unwrap().candidates.len(),
            MAX_CANDIDATES
        );
    }

    #[test]
    fn what_is_no_id_is_said() {
        use TraceRefError::*;
        let long = "a".repeat(MAX_TEXT_BYTES + 1);
        for (text, error) in [
            ("", Empty),
            (" \u{200b}\n", Empty),
            (long.as_str(), TooLong),
            ("0", AllZero),
            ("00000000000000000000000000000000", AllZero),
            ("00000000-0000-0000-0000-000000000000", AllZero),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                AllZero,
            ),
            ("trace_id=0000000000000000", AllZero),
            ("none", NotFound),
            ("???", NotFound),
            ("bad", NotFound),
            ("I don't have one", NotFound),
            ("b3: 0", NotFound),
            ("stack trace: 500 from the server", NotFound),
            ("trace id is a mess", NotFound),
            ("4bf92f3577b34da6a3ce929d0e0e47361", NotFound),
            ("4bf92f3577b34da6a3ce929d0e0e473g", NotFound),
            ("counterrevolutionaries", NotFound),
            (
                "at 1700000000000000000 and 12:30:45:10 from fe80:1:2:3",
                NotFound,
            ),
            (
                "https://app.example.com/docs/550e8400-e29b-41d4-a716-446655440000",
                NotFound,
            ),
            (
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                NotFound,
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    /// A trace ID in one of its shapes.
    fn written(id: u128, span: u64, shape: usize) -> String {
        let hex = format!("{id:032x}");
        match shape {
            0 => hex,
            1 => hex.to_uppercase(),
            2 => format!("{id:x}"),
            3 => uuid::Uuid::from_u128(id).to_string(),
            4 => format!("00-{hex}-{span:016x}-01"),
            5 => format!("{hex}-{span:016x}-1"),
            6 => format!("{id:x}:{span:x}:0:1"),
            7 => format!("{hex}/{span};o=1"),
            8 => format!("Root=1-{}-{};Parent={span:016x}", &hex[..8], &hex[8..]),
            9 => STANDARD.encode(id.to_be_bytes()),
            10 => URL_SAFE_NO_PAD.encode(id.to_be_bytes()),
            11 => format!("trace_id={hex} span_id={span:016x}"),
            12 => format!("{{\"a\":[{{\"traceID\":\"{hex}\"}}]}}"),
            13 => format!("https://x.example.com/trace/{id:x}?a=b#c"),
            14 => format!("Server-Timing: trace;desc=\"00-{hex}-{span:016x}-01\""),
            _ => format!("X-B3-TraceId: {hex}"),
        }
    }

    proptest! {
        #[test]
        fn an_id_comes_back_from_every_shape_and_noise(
            id in 1_u128 << 64.., span in 1_u64.., shape in 0_usize..=15,
            before in "[ \"'`(<\u{200b}\u{feff}\u{201c}\n]{0,4}", after in "[ \"'`)>\u{200b}.,;!\u{201d}\n]{0,4}",
        ) {
            let text = format!("{before}{}{after}", written(id, span, shape));
            let found = parse(&text).unwrap();
            let wanted = TraceId::from_bytes(&id.to_be_bytes()).unwrap();
            prop_assert!(found.candidates.contains(&wanted), "{text}: {found:?}");
            prop_assert_eq!(found.candidates[0], wanted);
        }

        #[test]
        fn a_decimal_id_comes_back(id in 1_u64.., quote in "[\"' ]{0,2}") {
            let found = parse(&format!("{quote}{id}{quote}")).unwrap();
            let wanted = TraceId::from_hex(&format!("{id:x}")).unwrap();
            prop_assert!(found.candidates.contains(&wanted));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn near_misses_never_panic(text in "(trace|_id|=|:|/|-|%|%3|é|\u{200b}|0|4bf92f35|\"|\\{|https://|span| ){0,60}") {
            if let Ok(found) = parse(&text) {
                prop_assert!((1..=MAX_CANDIDATES).contains(&found.candidates.len()));
            }
        }
    }
}
