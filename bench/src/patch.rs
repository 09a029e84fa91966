//! Exports encoded once and sent many times, with fresh IDs written over the old ones: so the client's work stays
//! small beside the server's, and no two sendings are the same to an index or a compressor.

use md5::{Digest as _, Md5};
use prost::Message as _;
use tracedesk::traces::otlp::{SpanView, resource_spans};
use uuid::Uuid;

use crate::spans::{self, Draft, SERVICES, TRACES_PER_EXPORT};

/// The ID of trace number `number`: MD5 of the number's decimal digits, which SQL can compute too.
pub fn trace_id(number: u64) -> Uuid {
    Uuid::from_bytes(Md5::digest(number.to_string().as_bytes()).into())
}

/// Where an ID stands in an encoded buffer, and of which trace of the export it is.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    trace: usize,
}

/// A buffer whose IDs can be made fresh.
#[derive(Clone)]
pub struct Template {
    /// The encoded export.
    pub bytes: Vec<u8>,
    trace_ids: Vec<Place>,
    span_ids: Vec<Place>,
    /// What the span IDs were changed by at the last sending, one a trace.
    salts: [u64; TRACES_PER_EXPORT],
}

impl Template {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            trace_ids: Vec::new(),
            span_ids: Vec::new(),
            salts: [0; TRACES_PER_EXPORT],
        }
    }

    /// Makes it the export of the traces from number `first` on.
    pub fn renew(&mut self, first: u64) {
        let ids: Vec<Uuid> = (first..).take(TRACES_PER_EXPORT).map(trace_id).collect();
        for place in &self.trace_ids {
            self.bytes[place.at..place.at + 16].copy_from_slice(ids[place.trace].as_bytes());
        }
        let fresh = ids.iter().map(|id| id.as_u64_pair().0);
        // The same change to every ID of a trace, so that parents are still found.
        let changes: Vec<u64> = fresh.clone().zip(self.salts).map(|(a, b)| a ^ b).collect();
        for place in &self.span_ids {
            if let Some(id) = self.bytes[place.at..].first_chunk_mut::<8>() {
                *id = (u64::from_be_bytes(*id) ^ changes[place.trace]).to_be_bytes();
            }
        }
        for (salt, fresh) in self.salts.iter_mut().zip(fresh) {
            *salt = fresh;
        }
    }
}

/// The exports as bodies of OTLP requests.
///
/// # Errors
/// None that a reader of our own encoding meets.
pub fn bodies(exports: &[Vec<Draft>]) -> anyhow::Result<Vec<Template>> {
    exports.iter().map(|drafts| body(drafts)).collect()
}

fn body(drafts: &[Draft]) -> anyhow::Result<Template> {
    let mut template = Template::new(spans::to_otlp(drafts).encode_to_vec());
    let (bytes, start) = (&template.bytes, template.bytes.as_ptr() as usize);
    let at = |part: &[u8]| part.as_ptr() as usize - start;
    let (mut trace_ids, mut span_ids) = (Vec::new(), Vec::new());
    let mut order = (0..SERVICES.len())
        .flat_map(|service| drafts.iter().filter(move |draft| draft.service == service));
    for resource in resource_spans(bytes) {
        for scope in resource?.scope_spans() {
            for message in scope?.spans() {
                let span = SpanView::parse(message?)?;
                let trace = order.next().map_or(0, |draft| draft.trace);
                trace_ids.push(Place {
                    at: at(span.trace_id),
                    trace,
                });
                span_ids.push(Place {
                    at: at(span.span_id),
                    trace,
                });
                if !span.parent_span_id.is_empty() {
                    span_ids.push(Place {
                        at: at(span.parent_span_id),
                        trace,
                    });
                }
            }
        }
    }
    template.trace_ids = trace_ids;
    template.span_ids = span_ids;
    Ok(template)
}

/// The exports joined in pairs of `exports_per_copy` as streams of binary COPY, one row a span, for the table of
/// `limit.sql`.
pub fn rows(exports: &[Vec<Draft>]) -> Vec<Template> {
    exports.iter().map(|drafts| copy_rows(drafts)).collect()
}

/// Rows without the stream's header and trailer, so that several can follow each other.
fn copy_rows(drafts: &[Draft]) -> Template {
    let mut template = Template::new(Vec::with_capacity(drafts.len() * 512));
    for draft in drafts {
        let (trace, span) = (draft.trace, &draft.span);
        let out = &mut template.bytes;
        out.extend_from_slice(&8_i16.to_be_bytes());
        put(out, &span.trace_id);
        template.trace_ids.push(Place {
            at: out.len() - 16,
            trace,
        });
        put(out, &span.span_id);
        template.span_ids.push(Place {
            at: out.len() - 8,
            trace,
        });
        if span.parent_span_id.is_empty() {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
        } else {
            put(out, &span.parent_span_id);
            template.span_ids.push(Place {
                at: out.len() - 8,
                trace,
            });
        }
        put(out, SERVICES[draft.service].as_bytes());
        put(out, span.name.as_bytes());
        put(out, &time(span.start_time_unix_nano));
        put(out, &time(span.end_time_unix_nano));
        // The binary form of jsonb: version 1, then its text.
        let json = spans::to_json(span);
        out.extend_from_slice(&length(json.len() + 1));
        out.push(1);
        out.extend_from_slice(json.as_bytes());
    }
    template
}

fn put(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&length(value.len()));
    out.extend_from_slice(value);
}

fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}

/// Microseconds since 2000-01-01.
fn time(unix_ns: u64) -> [u8; 8] {
    (unix_ns / 1_000 - 946_684_800_000_000).to_be_bytes()
}
