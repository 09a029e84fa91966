//! The SQL of tickets without a trace: what their reports say, and which traces ran near them.

use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::candidates::{PartSummary, WINDOW, Wanted};
use crate::traces::failure::FailureClass;
use crate::traces::ids::TraceId;
use crate::traces::part::user_ref;

/// Most failed parts weighed to either side of a report's time, the nearest: a product with ten thousand traces an hour
/// has some hundred failures in an hour, of a few parts each, and in an outage ten times as many.
const MAX_FAILED_PARTS: i64 = 2_000;
/// Most parts of the reporter's own, and of the page, that are weighed.
const MAX_OTHER_PARTS: i64 = 500;
/// Clocks of products and ours differ by at most this much: what began later than the report was sent is not what it is
/// about.
const SKEW: Duration = Duration::minutes(2);
/// A trace is stored at most this long after it ran, or is not looked for: bounds the partitions that are read.
const LATEST_ARRIVAL: Duration = Duration::days(1);
/// Clocks of products run ahead of ours at most this much.
const EARLIEST_ARRIVAL: Duration = Duration::hours(1);

/// Parts that ran near a report's time, before it was sent: those that failed, the nearest first, those of the same user,
/// and those that served its page. Our own requests are nobody's.
///
/// # Errors
/// The database's.
pub async fn parts_near(
    conn: &mut PgConnection,
    wanted: &Wanted,
) -> Result<Vec<PartSummary>, sqlx::Error> {
    let from = wanted.occurred_at - WINDOW;
    let to = (wanted.occurred_at + WINDOW).min(wanted.reported_at + SKEW);
    query_as!(
        PartSummary,
        // An arm for each index: two ways from the time among the failed ones, the user's own, and the time's.
        r#"SELECT trace_id AS "trace_id!", started_at AS "started_at!", service AS "service!", root_name, page_path,
                  user_ref, http_status, failure_class AS "failure_class: FailureClass", failing_span, failure_message
           FROM (
               (SELECT * FROM trace_parts
                WHERE started_at BETWEEN $7 AND $2 AND received_at BETWEEN $3 AND $4
                  AND failure_class IS NOT NULL AND service <> 'tracedesk' ORDER BY started_at LIMIT $6)
               UNION ALL
               (SELECT * FROM trace_parts
                WHERE started_at >= $1 AND started_at < $7 AND started_at <= $2 AND received_at BETWEEN $3 AND $4
                  AND failure_class IS NOT NULL AND service <> 'tracedesk' ORDER BY started_at DESC LIMIT $6)
               UNION ALL
               (SELECT * FROM trace_parts
                WHERE user_ref = $8 AND started_at BETWEEN $1 AND $2 AND received_at BETWEEN $3 AND $4 LIMIT $9)
               UNION ALL
               (SELECT * FROM trace_parts
                WHERE started_at BETWEEN $1 AND $2 AND received_at BETWEEN $3 AND $4
                  AND failure_class IS NULL AND page_path = $5 AND service <> 'tracedesk' LIMIT $9)
           ) AS near"#,
        from,
        to,
        from - EARLIEST_ARRIVAL,
        to + LATEST_ARRIVAL,
        wanted.page_path,
        MAX_FAILED_PARTS,
        wanted.occurred_at,
        wanted.user_ref,
        MAX_OTHER_PARTS,
    )
    .fetch_all(conn)
    .await
}

/// A ticket for which traces are weighed, and what it must not get again.
#[derive(Debug)]
pub struct Unlinked {
    /// The ticket.
    pub ticket_id: Uuid,
    /// What its report says.
    pub wanted: Wanted,
    /// Traces that staff took away.
    pub rejected_ids: Vec<Uuid>,
}

/// What a ticket's report says that can be compared with traces.
///
/// # Errors
/// The database's.
pub async fn unlinked(
    conn: &mut PgConnection,
    ticket_id: Uuid,
) -> Result<Option<Unlinked>, sqlx::Error> {
    let row = query!(
        r#"SELECT page_path, occurred_at, created_at, kind::text AS "kind!", email, rejected_ids
           FROM tickets JOIN links ON links.ticket_id = tickets.id WHERE tickets.id = $1"#,
        ticket_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Unlinked {
        ticket_id,
        wanted: Wanted {
            page_path: row.page_path,
            occurred_at: row.occurred_at,
            reported_at: row.created_at,
            kind: row.kind,
            user_ref: row.email.as_deref().map(user_ref),
        },
        rejected_ids: row.rejected_ids,
    }))
}

/// Open tickets opened since, newest first, that have no trace and whose reporter gave no ID.
///
/// # Errors
/// The database's.
pub async fn unlinked_since(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        "SELECT tickets.id FROM tickets JOIN links ON links.ticket_id = tickets.id
         WHERE tickets.created_at > $1 AND links.state = 'none' AND tickets.status IN ('open', 'pending')
         ORDER BY tickets.created_at DESC LIMIT $2",
        since,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Takes a ticket's trace away, not to be suggested again. Returns the trace that was linked.
///
/// # Errors
/// The database's.
pub async fn reject(conn: &mut PgConnection, ticket_id: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    query_scalar!(
        r#"WITH before AS (SELECT trace_id FROM links WHERE ticket_id = $1 AND state = 'linked' FOR UPDATE)
           UPDATE links SET state = 'none', trace_id = NULL, other_ids = '{}', span_id = NULL, linked_at = NULL,
               rejected_ids = array_append(rejected_ids, before.trace_id), failure_class = NULL,
               failure_fingerprint = NULL, failing_span_id = NULL, failing_service = NULL, failing_span = NULL,
               failure_message = NULL, failed_at = NULL, failure_rule = NULL, recovered_at = NULL, recovered_trace_id = NULL,
               recovery_seen_until = NULL
           FROM before WHERE ticket_id = $1
           RETURNING before.trace_id AS "trace_id!""#,
        ticket_id,
    )
    .fetch_optional(conn)
    .await
}

/// Points a ticket without a trace at one that fits. `false` if it has one by now, or staff took this one away.
///
/// # Errors
/// The database's.
pub async fn point_by_fit(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    trace_id: TraceId,
    waiting_until: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        "UPDATE links SET state = 'waiting', origin = 'suggested', trace_id = $2, waiting_until = $3
         WHERE ticket_id = $1 AND state = 'none' AND NOT ($2 = ANY (rejected_ids))",
        ticket_id,
        trace_id.as_uuid(),
        waiting_until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
