//! Finds the trace of a span ID that somebody gave for a trace ID: reads the parts of the last days.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::resolve::{ResolveError, Resolver, WAIT_FOR_TRACE};
use super::store;
use crate::traces::assemble::{RawTrace, ReadError};
use crate::traces::ids::{SpanId, TraceId};
use crate::traces::store as traces;

/// How far back a span that somebody named is searched for.
const SPAN_SEARCH_HOURS: i32 = 48;
/// How long staff wait for a search by span that somebody else began.
const SEARCH_PATIENCE: Duration = Duration::from_secs(10);

impl Resolver {
    /// One search at a time, since it reads much and anybody can ask for it; while one runs, the sweep does it.
    pub(super) fn search_later(&self, ticket_id: Uuid, span_id: SpanId) {
        let Ok(turn) = Arc::clone(&self.span_search).try_acquire_owned() else {
            return;
        };
        let resolver = self.clone();
        tokio::spawn(async move {
            if let Err(error) = resolver.search_now(ticket_id, span_id).await {
                tracing::warn!(error = %error, "A span could not be searched for yet; the sweep will");
            }
            drop(turn);
        });
    }

    async fn search_now(&self, ticket_id: Uuid, span_id: SpanId) -> Result<(), ResolveError> {
        let mut conn = self.pool.acquire().await?;
        let found = self.traces_of_spans(&mut conn, &[span_id]).await?;
        if let Some((_, trace_id)) = found.first() {
            self.link_by_span(&mut conn, ticket_id, span_id, *trace_id)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn link_by_span(
        &self,
        conn: &mut PgConnection,
        ticket_id: Uuid,
        span_id: SpanId,
        trace_id: TraceId,
    ) -> Result<(), ResolveError> {
        let waiting_until = self.clock.now() + WAIT_FOR_TRACE;
        if store::point_by_span(&mut *conn, ticket_id, span_id, trace_id, waiting_until).await? {
            self.link(conn, trace_id).await?;
        }
        Ok(())
    }

    /// The trace in which a span is stored, if it came lately or is pinned. For staff: waits its turn.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn trace_of_span(&self, span_id: SpanId) -> Result<Option<TraceId>, ResolveError> {
        let turn = tokio::time::timeout(SEARCH_PATIENCE, self.span_search.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Ok(None) };
        let mut conn = self.pool.acquire().await?;
        let found = self.traces_of_spans(&mut conn, &[span_id]).await?;
        Ok(found.first().map(|(_, trace_id)| *trace_id))
    }

    pub(super) async fn traces_of_spans(
        &self,
        conn: &mut PgConnection,
        span_ids: &[SpanId],
    ) -> Result<Vec<(SpanId, TraceId)>, ResolveError> {
        let mut found = Vec::new();
        if span_ids.is_empty() {
            return Ok(found);
        }
        for trace_id in traces::candidates_by_spans(&mut *conn, span_ids, SPAN_SEARCH_HOURS).await?
        {
            let Some(stored) = traces::find(&mut *conn, trace_id).await? else {
                continue;
            };
            let wanted = span_ids.to_vec();
            let looked =
                tokio::task::spawn_blocking(move || spans_among(trace_id, &stored, &wanted))
                    .await?;
            found.extend(looked?.into_iter().map(|span_id| (span_id, trace_id)));
        }
        Ok(found)
    }
}

/// Which of these spans a stored trace has.
fn spans_among(
    trace_id: TraceId,
    stored: &traces::StoredTrace,
    wanted: &[SpanId],
) -> Result<Vec<SpanId>, ReadError> {
    let raw = RawTrace::unpack(trace_id, stored)?;
    let (spans, _) = raw.spans()?;
    Ok(spans
        .iter()
        .map(|placed| placed.id)
        .filter(|id| wanted.contains(id))
        .collect())
}
