//! A trace part: the spans of one trace that arrived in one export request, as one row.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::failure::Failure;
use super::ids::TraceId;

/// A row of `trace_parts` before it has a time of arrival. Texts hold no NUL, which Postgres refuses.
#[derive(Debug, Clone)]
pub struct TracePart {
    /// `UUIDv7`.
    pub part_id: Uuid,
    /// Whose spans these are.
    pub trace_id: TraceId,
    /// Earliest start.
    pub started_at: DateTime<Utc>,
    /// Latest end.
    pub ended_at: DateTime<Utc>,
    /// How many spans.
    pub span_count: i32,
    /// How many of them have the status ERROR.
    pub error_count: i32,
    /// Size of the payload once decompressed.
    pub raw_bytes: i32,
    /// `service.name` of the first entry span.
    pub service: String,
    /// Name of the span without a parent, if it is in this part.
    pub root_name: Option<String>,
    /// Path of the first SERVER span.
    pub page_path: Option<String>,
    /// Hash of the user that the spans name.
    pub user_ref: Option<String>,
    /// Response status of the first SERVER span.
    pub http_status: Option<i16>,
    /// What went wrong, as far as this part alone tells.
    pub failure: Option<Failure>,
    /// The last four bytes of each span ID.
    pub span_id_tails: Vec<i32>,
    /// zstd of an OTLP `TracesData`.
    pub payload: Vec<u8>,
}

impl TracePart {
    /// About how many bytes the part holds in memory, for the queue's bound.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.payload.len() + self.span_id_tails.len() * size_of::<i32>()
    }
}

/// Whom the spans name, so that the same person is recognised and nobody is named: SHA-256, first 16 hex digits.
#[must_use]
pub fn user_ref(user: &str) -> String {
    let digest = Sha256::digest(user.trim().to_lowercase().as_bytes());
    hex::encode(digest.first_chunk::<8>().copied().unwrap_or_default())
}
