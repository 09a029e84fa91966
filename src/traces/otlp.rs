//! Borrowed views of OTLP's trace messages: what `opentelemetry/proto/trace/v1/trace.proto` defines, read in place.
//!
//! [`super::check`] proves once, at the door, that everything below a span can be read; views of stored payloads use
//! the same readers and stop at the first byte that does not fit.

use super::trace::{SpanKind, SpanStatus};
use super::value::signed;
pub use super::value::{ValueView, array_values};
use super::wire::{Field, Fields, WireError};

/// `ResourceSpans`: a resource and the scopes under it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResourceSpansView<'a> {
    /// The encoded `Resource`; empty if none.
    pub resource: &'a [u8],
    /// `schema_url`; empty if none.
    pub schema_url: &'a str,
    message: &'a [u8],
}

/// `ScopeSpans`: an instrumentation scope and the spans under it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScopeSpansView<'a> {
    /// The encoded `InstrumentationScope`; empty if none.
    pub scope: &'a [u8],
    /// `schema_url`; empty if none.
    pub schema_url: &'a str,
    message: &'a [u8],
}

/// `Span`: its own fields; attributes, events and links are read from it on demand.
#[derive(Debug, Clone, Copy)]
pub struct SpanView<'a> {
    /// As it came; 16 bytes if valid.
    pub trace_id: &'a [u8],
    /// As it came; 8 bytes if valid.
    pub span_id: &'a [u8],
    /// As it came; empty for a root.
    pub parent_span_id: &'a [u8],
    /// The operation's name.
    pub name: &'a str,
    /// The role the span plays.
    pub kind: SpanKind,
    /// Start in nanoseconds since the epoch.
    pub start_ns: u64,
    /// End in nanoseconds since the epoch.
    pub end_ns: u64,
    /// The status's code.
    pub status: SpanStatus,
    /// The status's message.
    pub status_message: &'a str,
    /// The span's encoded message.
    pub message: &'a [u8],
}

/// What a span is made of besides its own fields, as far as failures are concerned.
#[derive(Debug, Clone, Copy)]
pub enum Detail<'a> {
    /// A key and its value.
    Attribute(&'a str, ValueView<'a>),
    /// Something that happened meanwhile.
    Event(EventView<'a>),
}

/// `Span.Event`.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventView<'a> {
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// `exception` for exceptions.
    pub name: &'a str,
    /// `dropped_attributes_count`.
    pub dropped: u64,
    message: &'a [u8],
}

/// `Span.Link`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkView<'a> {
    /// As it came.
    pub trace_id: &'a [u8],
    /// As it came.
    pub span_id: &'a [u8],
    /// `trace_state`.
    pub trace_state: &'a str,
    /// `dropped_attributes_count`.
    pub dropped: u64,
    /// `flags`.
    pub flags: u32,
    message: &'a [u8],
}

/// The fields of `message` with this number, as bytes.
pub(super) fn submessages(
    message: &[u8],
    number: u32,
) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.bytes()),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// The resources of an `ExportTraceServiceRequest` or `TracesData` (both have them under field 1).
pub fn resource_spans(
    request: &[u8],
) -> impl Iterator<Item = Result<ResourceSpansView<'_>, WireError>> {
    submessages(request, 1).map(|message| {
        let message = message?;
        let mut view = ResourceSpansView {
            message,
            ..ResourceSpansView::default()
        };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => view.resource = field.bytes()?,
                3 => view.schema_url = field.text()?,
                _ => {}
            }
        }
        Ok(view)
    })
}

impl<'a> ResourceSpansView<'a> {
    /// The scopes under this resource. Field 1000 is where they stood before 2022 (`instrumentation_library_spans`).
    pub fn scope_spans(
        &self,
    ) -> impl Iterator<Item = Result<ScopeSpansView<'a>, WireError>> + use<'a> {
        submessages(self.message, 2)
            .chain(submessages(self.message, 1000))
            .map(|message| {
                let message = message?;
                let mut view = ScopeSpansView {
                    message,
                    ..ScopeSpansView::default()
                };
                for field in Fields::new(message) {
                    let field = field?;
                    match field.number {
                        1 => view.scope = field.bytes()?,
                        3 => view.schema_url = field.text()?,
                        _ => {}
                    }
                }
                Ok(view)
            })
    }
}

impl<'a> ScopeSpansView<'a> {
    /// Its encoded message.
    #[must_use]
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// The encoded spans under this scope.
    pub fn spans(&self) -> impl Iterator<Item = Result<&'a [u8], WireError>> + use<'a> {
        submessages(self.message, 2)
    }
}

impl<'a> SpanView<'a> {
    /// Reads the span's own fields.
    ///
    /// # Errors
    /// When a field does not fit OTLP's schema.
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let mut span = Self::empty(message);
        for field in Fields::new(message) {
            span.take(&field?)?;
        }
        Ok(span)
    }

    pub(super) fn empty(message: &'a [u8]) -> Self {
        Self {
            trace_id: &[],
            span_id: &[],
            parent_span_id: &[],
            name: "",
            kind: SpanKind::Unspecified,
            start_ns: 0,
            end_ns: 0,
            status: SpanStatus::Unset,
            status_message: "",
            message,
        }
    }

    #[inline]
    pub(super) fn take(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.trace_id = field.bytes()?,
            2 => self.span_id = field.bytes()?,
            4 => self.parent_span_id = field.bytes()?,
            5 => self.name = field.text()?,
            6 => self.kind = SpanKind::from_wire(signed(field.varint()?)),
            7 => self.start_ns = field.fixed64()?,
            8 => self.end_ns = field.fixed64()?,
            15 => self.read_status(field.bytes()?)?,
            _ => {}
        }
        Ok(())
    }

    fn read_status(&mut self, status: &'a [u8]) -> Result<(), WireError> {
        for field in Fields::new(status) {
            let field = field?;
            match field.number {
                2 => self.status_message = field.text()?,
                3 => self.status = SpanStatus::from_wire(signed(field.varint()?)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The span's attributes.
    pub fn attributes(
        &self,
    ) -> impl Iterator<Item = Result<(&'a str, ValueView<'a>), WireError>> + use<'a> {
        attributes(self.message, 9)
    }

    /// The span's events.
    pub fn events(&self) -> impl Iterator<Item = Result<EventView<'a>, WireError>> + use<'a> {
        submessages(self.message, 11).map(|message| EventView::parse(message?))
    }

    /// The span's links.
    pub fn links(&self) -> impl Iterator<Item = Result<LinkView<'a>, WireError>> + use<'a> {
        submessages(self.message, 13).map(|message| LinkView::parse(message?))
    }
}

impl<'a> EventView<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let mut event = Self {
            message,
            ..Self::default()
        };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => event.time_ns = field.fixed64()?,
                2 => event.name = field.text()?,
                4 => event.dropped = field.varint()?,
                _ => {}
            }
        }
        Ok(event)
    }

    /// The event's attributes.
    pub fn attributes(
        &self,
    ) -> impl Iterator<Item = Result<(&'a str, ValueView<'a>), WireError>> + use<'a> {
        attributes(self.message, 3)
    }
}

impl<'a> LinkView<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let mut link = Self {
            message,
            ..Self::default()
        };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => link.trace_id = field.bytes()?,
                2 => link.span_id = field.bytes()?,
                3 => link.trace_state = field.text()?,
                5 => link.dropped = field.varint()?,
                6 => link.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(link)
    }

    /// The link's attributes.
    pub fn attributes(
        &self,
    ) -> impl Iterator<Item = Result<(&'a str, ValueView<'a>), WireError>> + use<'a> {
        attributes(self.message, 4)
    }
}

/// The `KeyValue`s that stand in `message` under field `number`. An empty value and an absent one are the same.
pub fn attributes(
    message: &[u8],
    number: u32,
) -> impl Iterator<Item = Result<(&str, ValueView<'_>), WireError>> {
    submessages(message, number).map(|entry| attribute(entry?))
}

/// An encoded `KeyValue`.
#[inline]
pub(super) fn attribute(entry: &[u8]) -> Result<(&str, ValueView<'_>), WireError> {
    let (mut key, mut value) = ("", ValueView::Empty);
    for field in Fields::new(entry) {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = ValueView::parse(field.bytes()?)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The name and version of an encoded `InstrumentationScope`.
///
/// # Errors
/// What does not fit.
pub fn scope_label(message: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut version) = ("", "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => name = field.text()?,
            2 => version = field.text()?,
            _ => {}
        }
    }
    Ok((name, version))
}
