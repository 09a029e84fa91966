//! The W3C trace context of the request at hand: the ID that every response and every error body carries.
//!
//! Every request begins a trace of its own. A caller's `traceparent` is kept as a span link, not continued: whoever
//! is outside must not be able to write into a trace that he knows the ID of.

use std::future::Future;

use crate::clock::random_bytes;
use crate::traces::ids::{SpanId, TraceId};

/// The IDs of the request's root span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The request's trace.
    pub trace_id: TraceId,
    /// The request's root span.
    pub span_id: SpanId,
}

impl TraceContext {
    /// Fresh random IDs.
    #[must_use]
    pub fn start() -> Self {
        Self {
            trace_id: new_trace_id(),
            span_id: new_span_id(),
        }
    }
}

/// A fresh random trace ID.
#[must_use]
pub fn new_trace_id() -> TraceId {
    loop {
        // All zeros is not an ID; it comes once in 2^128.
        if let Some(id) = TraceId::from_bytes(&random_bytes::<16>()) {
            return id;
        }
    }
}

/// A fresh random span ID.
#[must_use]
pub fn new_span_id() -> SpanId {
    loop {
        if let Some(id) = SpanId::from_bytes(&random_bytes::<8>()) {
            return id;
        }
    }
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Runs `work` as part of this request.
pub async fn scope<F: Future>(context: TraceContext, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// The request at hand; `None` outside of one.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}
