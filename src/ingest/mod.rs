//! Arrival of spans: OTLP over HTTP, and files.

pub mod import;
pub mod jaeger;
pub mod json;

/// Spans one request may hold: a body of 64 MiB filled with small spans of 256 bytes.
pub const MAX_SPANS_PER_REQUEST: usize = 262_144;
