//! Arrival of spans: OTLP over HTTP, and files.

pub mod import;
pub mod jaeger;
pub mod json;
pub mod otlp;
pub mod split;
pub mod writer;

/// Most spans taken in one request: a body of 64 MiB filled with small spans of 256 bytes.
pub const MAX_SPANS_PER_REQUEST: usize = 64 * 1024 * 1024 / 256;
