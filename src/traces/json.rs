//! OTLP JSON, written straight from the encoded spans: IDs in hex, 64-bit integers as strings, enums as numbers.
//! Source: OpenTelemetry protocol specification, "JSON Protobuf Encoding".

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::assemble::{PlacedSpan, RawTrace, ReadError};
use super::otlp::{self, EventView, LinkView, SpanView, ValueView};
use super::trace::SpanStatus;
use super::wire::{Field, Fields, WireError};

/// JSON of a span is about three times its encoding.
const GROWTH: usize = 3;

/// The whole trace as an OTLP `TracesData` in JSON, each span once.
///
/// # Errors
/// [`ReadError`] when a part is damaged.
pub fn write(trace: &RawTrace) -> Result<Vec<u8>, ReadError> {
    let (spans, _) = trace.spans()?;
    let size: usize = trace.parts.iter().map(Vec::len).sum();
    let mut json = Json {
        out: Vec::with_capacity(size * GROWTH),
    };
    json.raw(b"{\"resourceSpans\":[");
    // Spans of one scope follow each other, so each scope is opened once.
    for (index, run) in spans.chunk_by(PlacedSpan::is_in_same_scope).enumerate() {
        json.separate(index);
        json.resource_spans(run)?;
    }
    json.raw(b"]}");
    Ok(json.out)
}

struct Json {
    out: Vec<u8>,
}

/// What stands below a span, gathered in one walk of it: the wire may have it in any order, JSON has it in lists.
#[derive(Default)]
struct Below<'a> {
    attributes: Vec<&'a [u8]>,
    events: Vec<&'a [u8]>,
    links: Vec<&'a [u8]>,
    others: Vec<Field<'a>>,
}

impl<'a> Below<'a> {
    /// Reads the next span, in the same memory.
    fn read(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        self.others.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                9 => self.attributes.push(field.bytes()?),
                11 => self.events.push(field.bytes()?),
                13 => self.links.push(field.bytes()?),
                3 | 10 | 12 | 14 | 16 => self.others.push(field),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether JSON takes the byte as it is.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

impl Json {
    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push(b',');
        }
    }

    /// A string with what JSON asks to be escaped.
    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        // Most texts need none. Without an early end the compiler looks at 16 bytes at a time.
        let needs_none = text
            .bytes()
            .fold(true, |plain, byte| plain & is_plain(byte));
        if needs_none {
            self.raw(text.as_bytes());
        } else {
            self.escaped(text.as_bytes());
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, bytes: &[u8]) {
        let mut copied = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if is_plain(byte) {
                continue;
            }
            self.out
                .extend_from_slice(bytes.get(copied..at).unwrap_or_default());
            copied = at + 1;
            match byte {
                b'"' => self.raw(b"\\\""),
                b'\\' => self.raw(b"\\\\"),
                b'\n' => self.raw(b"\\n"),
                b'\r' => self.raw(b"\\r"),
                b'\t' => self.raw(b"\\t"),
                _ => self.raw(format!("\\u{byte:04x}").as_bytes()),
            }
        }
        self.out
            .extend_from_slice(bytes.get(copied..).unwrap_or_default());
    }

    fn hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.out.push(b'"');
        for byte in bytes {
            self.out.push(DIGITS[usize::from(byte >> 4)]);
            self.out.push(DIGITS[usize::from(byte & 15)]);
        }
        self.out.push(b'"');
    }

    fn number(&mut self, value: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }

    fn quoted_number(&mut self, value: impl itoa::Integer) {
        self.out.push(b'"');
        self.number(value);
        self.out.push(b'"');
    }

    fn resource_spans(&mut self, run: &[PlacedSpan<'_>]) -> Result<(), WireError> {
        let Some(first) = run.first() else {
            return Ok(());
        };
        self.raw(b"{\"resource\":{\"attributes\":");
        self.attributes(otlp::attributes(first.resource.resource, 1))?;
        self.raw(b"},\"scopeSpans\":[{\"scope\":");
        self.scope(first.scope.scope)?;
        self.raw(b",\"spans\":[");
        let mut below = Below::default();
        for (index, placed) in run.iter().enumerate() {
            self.separate(index);
            below.read(placed.span.message)?;
            self.span(&placed.span, &below)?;
        }
        self.raw(b"]");
        self.schema_url(first.scope.schema_url);
        self.raw(b"}]");
        self.schema_url(first.resource.schema_url);
        self.raw(b"}");
        Ok(())
    }

    fn schema_url(&mut self, url: &str) {
        if !url.is_empty() {
            self.raw(b",\"schemaUrl\":");
            self.string(url);
        }
    }

    fn scope(&mut self, message: &[u8]) -> Result<(), WireError> {
        let (name, version) = otlp::scope_label(message)?;
        self.raw(b"{\"name\":");
        self.string(name);
        if !version.is_empty() {
            self.raw(b",\"version\":");
            self.string(version);
        }
        self.attributes_if_any(otlp::attributes(message, 3))?;
        self.raw(b"}");
        Ok(())
    }

    fn span(&mut self, span: &SpanView<'_>, below: &Below<'_>) -> Result<(), WireError> {
        self.raw(b"{\"traceId\":");
        self.hex(span.trace_id);
        self.raw(b",\"spanId\":");
        self.hex(span.span_id);
        if !span.parent_span_id.is_empty() {
            self.raw(b",\"parentSpanId\":");
            self.hex(span.parent_span_id);
        }
        self.raw(b",\"name\":");
        self.string(span.name);
        self.raw(b",\"kind\":");
        self.number(span.kind.to_wire());
        self.raw(b",\"startTimeUnixNano\":");
        self.quoted_number(span.start_ns);
        self.raw(b",\"endTimeUnixNano\":");
        self.quoted_number(span.end_ns);
        let attributes = below.attributes.iter().map(|entry| otlp::attribute(entry));
        self.attributes_if_any(attributes)?;
        let events = below.events.iter().map(|event| EventView::parse(event));
        self.list(b",\"events\":", events, Self::event)?;
        let links = below.links.iter().map(|link| LinkView::parse(link));
        self.list(b",\"links\":", links, Self::link)?;
        self.status(span);
        self.rare_fields(&below.others)?;
        self.raw(b"}");
        Ok(())
    }

    fn status(&mut self, span: &SpanView<'_>) {
        if span.status == SpanStatus::Unset && span.status_message.is_empty() {
            return;
        }
        self.raw(b",\"status\":{\"code\":");
        self.number(span.status.to_wire());
        if !span.status_message.is_empty() {
            self.raw(b",\"message\":");
            self.string(span.status_message);
        }
        self.raw(b"}");
    }

    /// Fields that few spans have: trace state, flags, counts of what the SDK dropped.
    fn rare_fields(&mut self, fields: &[Field<'_>]) -> Result<(), WireError> {
        for field in fields {
            let name: &[u8] = match field.number {
                3 if !field.bytes()?.is_empty() => {
                    self.raw(b",\"traceState\":");
                    self.string(field.text()?);
                    continue;
                }
                10 => b",\"droppedAttributesCount\":",
                12 => b",\"droppedEventsCount\":",
                14 => b",\"droppedLinksCount\":",
                16 => b",\"flags\":",
                _ => continue,
            };
            self.raw(name);
            self.number(field.number_value()?);
        }
        Ok(())
    }

    fn event(&mut self, event: &EventView<'_>) -> Result<(), WireError> {
        self.raw(b"{\"timeUnixNano\":");
        self.quoted_number(event.time_ns);
        self.raw(b",\"name\":");
        self.string(event.name);
        self.attributes_if_any(event.attributes())?;
        self.dropped(event.dropped);
        self.raw(b"}");
        Ok(())
    }

    fn link(&mut self, link: &LinkView<'_>) -> Result<(), WireError> {
        self.raw(b"{\"traceId\":");
        self.hex(link.trace_id);
        self.raw(b",\"spanId\":");
        self.hex(link.span_id);
        if !link.trace_state.is_empty() {
            self.raw(b",\"traceState\":");
            self.string(link.trace_state);
        }
        self.attributes_if_any(link.attributes())?;
        self.dropped(link.dropped);
        if link.flags != 0 {
            self.raw(b",\"flags\":");
            self.number(link.flags);
        }
        self.raw(b"}");
        Ok(())
    }

    fn dropped(&mut self, count: u64) {
        if count != 0 {
            self.raw(b",\"droppedAttributesCount\":");
            self.number(count);
        }
    }

    /// A list under `key`; nothing at all when it is empty.
    fn list<T>(
        &mut self,
        key: &[u8],
        items: impl Iterator<Item = Result<T, WireError>>,
        mut write: impl FnMut(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut is_open = false;
        for item in items {
            self.raw(if is_open { b"," } else { key });
            if !is_open {
                self.raw(b"[");
                is_open = true;
            }
            write(self, &item?)?;
        }
        if is_open {
            self.raw(b"]");
        }
        Ok(())
    }

    fn attributes_if_any<'a>(
        &mut self,
        attributes: impl Iterator<Item = Result<(&'a str, ValueView<'a>), WireError>>,
    ) -> Result<(), WireError> {
        self.list(b",\"attributes\":", attributes, |json, (key, value)| {
            json.attribute(key, *value)
        })
    }

    fn attributes<'a>(
        &mut self,
        attributes: impl Iterator<Item = Result<(&'a str, ValueView<'a>), WireError>>,
    ) -> Result<(), WireError> {
        self.raw(b"[");
        for (index, attribute) in attributes.enumerate() {
            let (key, value) = attribute?;
            self.separate(index);
            self.attribute(key, value)?;
        }
        self.raw(b"]");
        Ok(())
    }

    fn attribute(&mut self, key: &str, value: ValueView<'_>) -> Result<(), WireError> {
        self.raw(b"{\"key\":");
        self.string(key);
        self.raw(b",\"value\":");
        self.value(value)?;
        self.raw(b"}");
        Ok(())
    }

    /// Nesting was bounded when the span was checked, so this recursion is.
    fn value(&mut self, value: ValueView<'_>) -> Result<(), WireError> {
        match value {
            ValueView::Empty => self.raw(b"{"),
            ValueView::String(text) => {
                self.raw(b"{\"stringValue\":");
                self.string(text);
            }
            ValueView::Bool(value) => {
                self.raw(if value {
                    b"{\"boolValue\":true"
                } else {
                    b"{\"boolValue\":false"
                });
            }
            ValueView::Int(value) => {
                self.raw(b"{\"intValue\":");
                self.quoted_number(value);
            }
            ValueView::Double(value) => self.double(value),
            ValueView::Bytes(bytes) => {
                self.raw(b"{\"bytesValue\":");
                self.string(&STANDARD.encode(bytes));
            }
            ValueView::Array(values) => {
                self.raw(b"{\"arrayValue\":{\"values\":[");
                for (index, value) in otlp::array_values(values).enumerate() {
                    self.separate(index);
                    self.value(value?)?;
                }
                self.raw(b"]}");
            }
            ValueView::Map(entries) => {
                self.raw(b"{\"kvlistValue\":{\"values\":");
                self.attributes(otlp::attributes(entries, 1))?;
                self.raw(b"}");
            }
        }
        self.raw(b"}");
        Ok(())
    }

    /// JSON has no numbers for these; protobuf's JSON mapping names them.
    fn double(&mut self, value: f64) {
        self.raw(b"{\"doubleValue\":");
        if value.is_nan() {
            self.raw(b"\"NaN\"");
        } else if value.is_infinite() {
            self.raw(if value > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            });
        } else {
            self.raw(value.to_string().as_bytes());
        }
    }
}
