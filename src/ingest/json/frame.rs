//! Writing nested protobuf messages into one growing buffer, and counting what stays out of it.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, message, string};

use super::{Converted, JsonError};
use crate::ingest::MAX_SPANS_PER_REQUEST;

/// Field of `ResourceSpans` in `ExportTraceServiceRequest`.
pub(in crate::ingest) const RESOURCE_SPANS: u32 = 1;
/// Field of `ScopeSpans` in `ResourceSpans`.
pub(in crate::ingest) const SCOPE_SPANS: u32 = 2;
/// Field of `Span` in `ScopeSpans`.
pub(in crate::ingest) const SPANS: u32 = 2;
/// Field of the resource or scope, and of the schema's URL, in `ResourceSpans` and `ScopeSpans` alike.
const OWNER: u32 = 1;
const SCHEMA_URL: u32 = 3;

/// A `ResourceSpans` or `ScopeSpans` that is being written at the end of a buffer.
#[must_use]
pub(in crate::ingest) struct Frame {
    start: usize,
    /// Where the spans start, after the resource or scope.
    spans: usize,
}

impl Frame {
    /// Starts a message with its resource or scope.
    pub(in crate::ingest) fn open(out: &mut Vec<u8>, owner: Option<&impl Message>) -> Self {
        let start = out.len();
        if let Some(owner) = owner {
            message::encode(OWNER, owner, out);
        }
        let spans = out.len();
        Self { start, spans }
    }

    /// Ends the message as field `tag` of what surrounds it. One without spans is taken back.
    ///
    /// The length in front is inserted once it is known, which moves every byte once a level.
    pub(in crate::ingest) fn close(self, out: &mut Vec<u8>, tag: u32, schema_url: &String) {
        if out.len() == self.spans {
            out.truncate(self.start);
            return;
        }
        if !schema_url.is_empty() {
            string::encode(SCHEMA_URL, schema_url, out);
        }
        let mut head = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut head);
        encode_varint((out.len() - self.start) as u64, &mut head);
        out.splice(self.start..self.start, head);
    }
}

/// How many spans were seen, and which were left out.
#[derive(Default)]
pub(in crate::ingest) struct Tally {
    seen: usize,
    rejected: u64,
    first_reason: Option<String>,
}

impl Tally {
    /// Counts a span, good or bad.
    pub(in crate::ingest) fn count(&mut self) -> Result<(), JsonError> {
        self.seen += 1;
        if self.seen > MAX_SPANS_PER_REQUEST {
            let max = MAX_SPANS_PER_REQUEST;
            return Err(JsonError::TooMany { what: "spans", max });
        }
        Ok(())
    }

    /// Counts a span that stays out; the first one's reason is kept.
    pub(in crate::ingest) fn reject(&mut self, reason: impl FnOnce() -> String) {
        self.rejected += 1;
        self.first_reason.get_or_insert_with(reason);
    }

    /// The result, with the spans that were written.
    pub(in crate::ingest) fn into_converted(self, request: Vec<u8>) -> Converted {
        Converted {
            request,
            rejected: self.rejected,
            first_reason: self.first_reason,
        }
    }
}
