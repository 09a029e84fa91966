//! Rows of `trace_parts` in the format of `COPY ... (FORMAT binary)`.
//! Source: PostgreSQL documentation, COPY, "Binary Format"; values are as the types' `*_recv` functions read them.

use chrono::{DateTime, Utc};

use super::part::TracePart;

/// The columns, in the order in which [`encode`] writes them.
pub const COLUMNS: &str = "part_id, trace_id, received_at, started_at, ended_at, span_count, error_count, raw_bytes, \
     service, root_name, page_path, user_ref, http_status, failure_class, failure_fingerprint, failing_span, \
     failure_message, span_id_tails, payload";
/// How many columns [`COLUMNS`] names.
const COLUMN_COUNT: i16 = 19;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The object ID of `int4`, fixed in Postgres's catalogue.
const INT4_OID: i32 = 23;
/// 2000-01-01, Postgres's epoch, in Unix microseconds: 10,957 days.
const POSTGRES_EPOCH_MICROS: i64 = 10_957 * 86_400 * 1_000_000;

/// Encodes all `parts` as one COPY stream, header and trailer included.
pub fn encode<'a>(
    parts: impl IntoIterator<Item = &'a TracePart> + Clone,
    received_at: DateTime<Utc>,
) -> Vec<u8> {
    // A row is smaller than its part.
    let room = parts.clone().into_iter().map(TracePart::weight).sum();
    let mut out = Vec::with_capacity(room);
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0; 8]); // no flags, no header extension
    for part in parts {
        put_row(&mut out, part, received_at);
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

fn put_row(out: &mut Vec<u8>, part: &TracePart, received_at: DateTime<Utc>) {
    let failure = part.failure.as_ref();
    out.extend_from_slice(&COLUMN_COUNT.to_be_bytes());
    put(out, part.part_id.as_bytes());
    put(out, part.trace_id.as_bytes());
    put_time(out, received_at);
    put_time(out, part.started_at);
    put_time(out, part.ended_at);
    put(out, &part.span_count.to_be_bytes());
    put(out, &part.error_count.to_be_bytes());
    put(out, &part.raw_bytes.to_be_bytes());
    put(out, part.service.as_bytes());
    put_option(out, part.root_name.as_deref().map(str::as_bytes));
    put_option(out, part.page_path.as_deref().map(str::as_bytes));
    put_option(out, part.user_ref.as_deref().map(str::as_bytes));
    put_option(
        out,
        part.http_status
            .map(i16::to_be_bytes)
            .as_ref()
            .map(<[u8; 2]>::as_slice),
    );
    put_option(
        out,
        failure.map(|failure| failure.class.as_str().as_bytes()),
    );
    put_option(
        out,
        failure
            .map(|failure| failure.fingerprint.to_be_bytes())
            .as_ref()
            .map(<[u8; 8]>::as_slice),
    );
    put_option(out, failure.map(|failure| failure.span_name.as_bytes()));
    put_option(out, failure.map(|failure| failure.message.as_bytes()));
    put_array(out, &part.span_id_tails);
    put(out, &part.payload);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Every value is far below Postgres's 1 GB; a longer one would be refused by the server, not cut.
    out.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
}

fn put(out: &mut Vec<u8>, value: &[u8]) {
    put_length(out, value.len());
    out.extend_from_slice(value);
}

fn put_option(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => put(out, value),
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

fn put_time(out: &mut Vec<u8>, time: DateTime<Utc>) {
    put(
        out,
        &(time.timestamp_micros() - POSTGRES_EPOCH_MICROS).to_be_bytes(),
    );
}

fn put_array(out: &mut Vec<u8>, values: &[i32]) {
    // One dimension, no NULLs, element type, length, lower bound 1: 20 bytes; then 8 bytes a value.
    put_length(out, 20 + 8 * values.len());
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    out.extend_from_slice(&INT4_OID.to_be_bytes());
    put_length(out, values.len());
    out.extend_from_slice(&1_i32.to_be_bytes());
    for value in values {
        put(out, &value.to_be_bytes());
    }
}
