//! A whole trace, assembled from its parts: spans without duplicates, each with the resource and scope it came with.

use super::ids::{SpanId, TraceId};

/// A trace as it is shown: every span once, in order of start.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The trace's ID.
    pub id: TraceId,
    /// The resources that spans point into by [`Span::resource`].
    pub resources: Vec<Resource>,
    /// All spans, by start time.
    pub spans: Vec<Span>,
    /// Spans that arrived more than once and were dropped here.
    pub duplicate_count: usize,
    /// Whether parts were left out because the trace is over [`crate::traces::store::MAX_TRACE_BYTES`].
    pub is_truncated: bool,
}

/// What produced spans: a service on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// `service.name`, or `unknown_service`.
    pub service: String,
    /// All attributes, `service.name` among them.
    pub attributes: Vec<(String, AttributeValue)>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Span {
    /// The span's ID.
    pub id: SpanId,
    /// The span that caused this one; `None` for a root.
    pub parent_id: Option<SpanId>,
    /// Index into [`Trace::resources`].
    pub resource: usize,
    /// The instrumentation library, `name` or `name version`; empty if not given.
    pub scope: String,
    /// The operation's name.
    pub name: String,
    /// The role the span plays.
    pub kind: SpanKind,
    /// Start, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// End, in nanoseconds since the epoch; hostile data may end before it starts.
    pub end_ns: u64,
    /// Outcome as the instrumentation set it.
    pub status: SpanStatus,
    /// The status's message; empty if none.
    pub status_message: String,
    /// Attributes in the order they came.
    pub attributes: Vec<(String, AttributeValue)>,
    /// Events, exceptions among them.
    pub events: Vec<SpanEvent>,
    /// Links to other spans.
    pub links: Vec<SpanLink>,
}

impl Span {
    /// How long the span took, in nanoseconds; zero if it ends before it starts.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// `SpanKind` of OTLP; unknown numbers count as unspecified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are OpenTelemetry's")]
pub enum SpanKind {
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// `Status.StatusCode` of OTLP; unknown numbers count as unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are OpenTelemetry's")]
pub enum SpanStatus {
    Unset,
    Ok,
    Error,
}

/// Something that happened during a span.
#[derive(Debug, Clone)]
pub struct SpanEvent {
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// `exception` for exceptions.
    pub name: String,
    /// `exception.type`, `exception.message`, `exception.stacktrace` for exceptions.
    pub attributes: Vec<(String, AttributeValue)>,
}

/// A pointer to a span, mostly of another trace.
#[derive(Debug, Clone)]
pub struct SpanLink {
    /// The other trace; `None` if the wire had no valid ID.
    pub trace_id: Option<TraceId>,
    /// The other span; `None` if the wire had no valid ID.
    pub span_id: Option<SpanId>,
    /// Attributes in the order they came.
    pub attributes: Vec<(String, AttributeValue)>,
}

/// `AnyValue` of OTLP. Consumers must expect every kind in every attribute.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are OTLP's")]
pub enum AttributeValue {
    Empty,
    String(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Array(Vec<AttributeValue>),
    Map(Vec<(String, AttributeValue)>),
}

impl SpanKind {
    /// From the number on the wire.
    #[must_use]
    pub fn from_wire(number: i64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
            Self::Producer => 4,
            Self::Consumer => 5,
        }
    }

    /// The lowercase name shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

impl SpanStatus {
    /// From the number on the wire.
    #[must_use]
    pub fn from_wire(number: i64) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Unset => 0,
            Self::Ok => 1,
            Self::Error => 2,
        }
    }
}

impl std::fmt::Display for AttributeValue {
    /// As a person reads it: strings bare, arrays and maps in JSON's shape.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::String(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => write!(
                f,
                "{} bytes: {}",
                bytes.len(),
                hex::encode(bytes.get(..32).unwrap_or(bytes))
            ),
            Self::Array(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}
