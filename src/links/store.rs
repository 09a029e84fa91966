//! The SQL of links.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::state::{LinkOrigin, LinkState};
use crate::traces::failure::{Failure, FailureClass};
use crate::traces::ids::{SpanId, TraceId};

/// A ticket's link, as kept.
#[derive(Debug, Clone)]
pub struct Link {
    /// Whose link.
    pub ticket_id: Uuid,
    /// Whether the trace was found.
    pub state: LinkState,
    /// Who said so.
    pub origin: LinkOrigin,
    /// The linked trace, or the best reading of what was typed.
    pub trace_id: Option<Uuid>,
    /// Further readings.
    pub other_ids: Vec<Uuid>,
    /// Set when what was typed may be a span's ID.
    pub span_id: Option<i64>,
    /// What was typed.
    pub typed: Option<String>,
    /// When the wait is over.
    pub waiting_until: Option<DateTime<Utc>>,
    /// When the trace was found.
    pub linked_at: Option<DateTime<Utc>>,
    /// What went wrong in the trace.
    pub failure_class: Option<FailureClass>,
    /// Equal for the same failure in other traces.
    pub failure_fingerprint: Option<i64>,
    /// The failing span.
    pub failing_span_id: Option<i64>,
    /// Its service.
    pub failing_service: Option<String>,
    /// Its name.
    pub failing_span: Option<String>,
    /// What it said.
    pub failure_message: Option<String>,
    /// When it started.
    pub failed_at: Option<DateTime<Utc>>,
    /// The operator's rule that gave the class.
    pub failure_rule: Option<String>,
    /// Start of the first later trace of the same user and route that shows success.
    pub recovered_at: Option<DateTime<Utc>>,
    /// That trace.
    pub recovered_trace_id: Option<Uuid>,
}

impl Link {
    /// The trace this link points to, found or not.
    #[must_use]
    pub fn trace(&self) -> Option<TraceId> {
        self.trace_id.and_then(TraceId::from_uuid)
    }

    /// The span whose ID was typed, if it may be one.
    #[must_use]
    pub fn span(&self) -> Option<SpanId> {
        self.span_id.and_then(SpanId::from_i64)
    }

    /// All readings of what was typed, best first.
    #[must_use]
    pub fn candidates(&self) -> Vec<TraceId> {
        self.trace_id
            .into_iter()
            .chain(self.other_ids.iter().copied())
            .filter_map(TraceId::from_uuid)
            .collect()
    }
}

/// The link of a ticket.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut PgConnection, ticket_id: Uuid) -> Result<Option<Link>, sqlx::Error> {
    query_as!(
        Link,
        r#"SELECT ticket_id, state AS "state: LinkState", origin AS "origin: LinkOrigin", trace_id, other_ids, span_id,
                  typed, waiting_until, linked_at, failure_class AS "failure_class: FailureClass",
                  failure_fingerprint, failing_span_id, failing_service, failing_span, failure_message, failed_at,
                  recovered_at, recovered_trace_id, failure_rule
           FROM links WHERE ticket_id = $1"#,
        ticket_id,
    )
    .fetch_optional(conn)
    .await
}

/// Another text whenever anything changed that the reporter's page shows.
///
/// # Errors
/// The database's.
pub async fn stamp(
    conn: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT md5(concat_ws('/', revision, updated_at, state, trace_id, failure_class, recovered_at)) AS "stamp!"
           FROM tickets JOIN links ON links.ticket_id = tickets.id WHERE tickets.id = $1"#,
        ticket_id,
    )
    .fetch_optional(conn)
    .await
}

/// Which of these traces some ticket is about, as stated, as another reading, or already linked.
///
/// # Errors
/// The database's.
pub async fn traces_with_tickets(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        r#"SELECT trace_id AS "id!" FROM links WHERE trace_id = ANY ($1)
           UNION
           SELECT other AS "id!" FROM links, unnest(other_ids) AS other
           WHERE other_ids <> '{}' AND other_ids && $1 AND other = ANY ($1)"#,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Locks the links of the tickets that a trace belongs to, so that two parts arriving together are taken one after
/// the other. In order of ticket, so that two of these never wait for each other.
///
/// # Errors
/// The database's.
pub async fn lock_by_trace(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        "SELECT ticket_id FROM links
         WHERE trace_id = $1 OR (other_ids <> '{}' AND other_ids @> ARRAY[$1])
         ORDER BY ticket_id FOR UPDATE",
        trace_id.as_uuid(),
    )
    .fetch_all(conn)
    .await
}

/// Marks links as linked to a trace with its failure. Returns the tickets for which that is news.
///
/// # Errors
/// The database's.
pub async fn mark_linked(
    conn: &mut PgConnection,
    ticket_ids: &[Uuid],
    trace_id: TraceId,
    failure: Option<&Failure>,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        r#"WITH before AS (SELECT ticket_id, state FROM links WHERE ticket_id = ANY ($1)),
           linked AS (
               UPDATE links SET state = 'linked', trace_id = $2, other_ids = '{}', waiting_until = NULL,
                   linked_at = coalesce(linked_at, $3), failure_class = $4, failure_fingerprint = $5,
                   failing_span_id = $6, failing_service = $7, failing_span = $8, failure_message = $9,
                   failed_at = $10, failure_rule = $11
               WHERE ticket_id = ANY ($1)
               RETURNING ticket_id
           )
           SELECT ticket_id AS "ticket_id!" FROM linked JOIN before USING (ticket_id) WHERE before.state <> 'linked'"#,
        ticket_ids,
        trace_id.as_uuid(),
        now,
        failure.map(|failure| failure.class) as Option<FailureClass>,
        failure.map(|failure| failure.fingerprint),
        failure.map(|failure| failure.span_id.as_i64()),
        failure.map(|failure| failure.service.as_str()),
        failure.map(|failure| failure.span_name.as_str()),
        failure.map(|failure| failure.message.as_str()),
        failure.map(|failure| micros_of(failure.started_ns)),
        failure.and_then(|failure| failure.rule.as_deref()),
    )
    .fetch_all(conn)
    .await
}

fn micros_of(nanos: u64) -> DateTime<Utc> {
    i64::try_from(nanos / 1_000)
        .ok()
        .and_then(DateTime::from_timestamp_micros)
        .unwrap_or(DateTime::UNIX_EPOCH)
}

/// Points a link at another trace, still to be looked for: staff chose it, or a typed span ID led to it.
///
/// # Errors
/// The database's.
pub async fn repoint(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    trace_id: TraceId,
    origin: LinkOrigin,
    waiting_until: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        "UPDATE links SET state = 'waiting', origin = $3, trace_id = $2, other_ids = '{}', span_id = NULL,
             waiting_until = $4, linked_at = NULL, failure_class = NULL, failure_fingerprint = NULL,
             failing_span_id = NULL, failing_service = NULL, failing_span = NULL, failure_message = NULL, failure_rule = NULL,
             failed_at = NULL, recovered_at = NULL, recovered_trace_id = NULL, recovery_seen_until = NULL
         WHERE ticket_id = $1",
        ticket_id,
        trace_id.as_uuid(),
        origin as LinkOrigin,
        waiting_until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Points a waiting link at the trace that holds the span whose ID was typed. `false` if it waits no more.
///
/// # Errors
/// The database's.
pub async fn point_by_span(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    span_id: SpanId,
    trace_id: TraceId,
    waiting_until: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        "UPDATE links SET state = 'waiting', trace_id = $3, other_ids = '{}', span_id = NULL, waiting_until = $4
         WHERE ticket_id = $1 AND span_id = $2 AND state IN ('waiting', 'missing')",
        ticket_id,
        span_id.as_i64(),
        trace_id.as_uuid(),
        waiting_until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Traces of linked or missing tickets of the last days that got parts since which nobody pinned: the look after
/// their commit did not come to its end.
///
/// # Errors
/// The database's.
pub async fn traces_with_unseen_parts(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        r#"SELECT DISTINCT part.trace_id AS "trace_id!"
           FROM tickets
           JOIN links ON links.ticket_id = tickets.id
           JOIN trace_parts AS part ON part.trace_id = ANY (array_append(links.other_ids, links.trace_id))
           WHERE tickets.created_at > $1::timestamptz - interval '2 days' AND links.state IN ('linked', 'missing')
             AND part.received_at > $1
             AND NOT EXISTS (SELECT 1 FROM pinned_parts AS pinned WHERE pinned.part_id = part.part_id)"#,
        since,
    )
    .fetch_all(conn)
    .await
}

/// Waiting links after `after`, in order of ticket, for the sweep.
///
/// # Errors
/// The database's.
pub async fn waiting_after(
    conn: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Link>, sqlx::Error> {
    query_as!(
        Link,
        r#"SELECT ticket_id, state AS "state: LinkState", origin AS "origin: LinkOrigin", trace_id, other_ids, span_id,
                  typed, waiting_until, linked_at, failure_class AS "failure_class: FailureClass",
                  failure_fingerprint, failing_span_id, failing_service, failing_span, failure_message, failed_at,
                  recovered_at, recovered_trace_id, failure_rule
           FROM links WHERE state = 'waiting' AND ticket_id > $1 ORDER BY ticket_id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Ends the waits that are over; returns the tickets.
///
/// # Errors
/// The database's.
pub async fn mark_missing(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        "UPDATE links SET state = 'missing', waiting_until = NULL
         WHERE state = 'waiting' AND waiting_until < $1 RETURNING ticket_id",
        now,
    )
    .fetch_all(conn)
    .await
}
