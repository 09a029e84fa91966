//! The SQL of failures over all tickets: what failed how often, and what advice saved.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, query, query_as};
use uuid::Uuid;

use super::tickets::ListedTicket;
use crate::links::state::LinkState;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// Failures on the page, those with the most tickets.
const MAX_FAILURES: i64 = 100;
/// Tickets named of one failure.
const MAX_TICKETS: i64 = 200;

/// Tickets whose traces show the same failure.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns, documented in migrations/0004_links.sql"
)]
pub struct FailureGroup {
    pub fingerprint: i64,
    pub class: FailureClass,
    pub service: String,
    pub span: String,
    pub message: String,
    pub ticket_count: i64,
    pub open_count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

/// Failures of tickets linked since, most tickets first.
///
/// # Errors
/// The database's.
pub async fn groups_since(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<FailureGroup>, sqlx::Error> {
    query_as!(
        FailureGroup,
        r#"SELECT failure_fingerprint AS "fingerprint!",
                  (array_agg(failure_class ORDER BY linked_at DESC))[1] AS "class!: FailureClass",
                  (array_agg(failing_service ORDER BY linked_at DESC))[1] AS "service!",
                  (array_agg(failing_span ORDER BY linked_at DESC))[1] AS "span!",
                  (array_agg(failure_message ORDER BY linked_at DESC))[1] AS "message!",
                  count(*) AS "ticket_count!",
                  count(*) FILTER (WHERE tickets.status IN ('open', 'pending')) AS "open_count!",
                  min(tickets.created_at) AS "first_at!", max(tickets.created_at) AS "last_at!"
           FROM links JOIN tickets ON tickets.id = links.ticket_id
           WHERE linked_at > $1 AND failure_fingerprint IS NOT NULL AND tickets.status <> 'spam'
           GROUP BY failure_fingerprint
           ORDER BY count(*) DESC, max(tickets.created_at) DESC LIMIT $2"#,
        since,
        MAX_FAILURES,
    )
    .fetch_all(conn)
    .await
}

/// Tickets of one failure, newest first.
///
/// # Errors
/// The database's.
pub async fn tickets_of(
    conn: &mut PgConnection,
    fingerprint: i64,
) -> Result<Vec<ListedTicket>, sqlx::Error> {
    query_as!(
        ListedTicket,
        r#"SELECT t.id, t.reference, t.status AS "status: TicketStatus", t.created_at, left(t.action, 200) AS "action!",
                  t.page_url, t.occurred_at, t.kind::text AS "kind!", l.state AS "link_state: LinkState", l.trace_id,
                  l.failure_class AS "failure_class: FailureClass", l.failing_service, l.failure_rule
           FROM links AS l JOIN tickets AS t ON t.id = l.ticket_id
           WHERE l.failure_fingerprint = $1 AND t.status <> 'spam'
           ORDER BY t.created_at DESC LIMIT $2"#,
        fingerprint,
        MAX_TICKETS,
    )
    .fetch_all(conn)
    .await
}

/// How many open tickets of the same failure there are besides this one.
///
/// # Errors
/// The database's.
pub async fn count_others(
    conn: &mut PgConnection,
    fingerprint: i64,
    ticket_id: Uuid,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM links JOIN tickets ON tickets.id = links.ticket_id
           WHERE failure_fingerprint = $1 AND ticket_id <> $2 AND tickets.status IN ('open', 'pending')"#,
        fingerprint,
        ticket_id,
    )
    .fetch_one(conn)
    .await
}

/// Counts a failure that its advice solved.
///
/// # Errors
/// The database's.
pub async fn count_solved(
    conn: &mut PgConnection,
    day: NaiveDate,
    class: FailureClass,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO solved_answers (day, failure_class, count) VALUES ($1, $2, 1)
         ON CONFLICT (day, failure_class) DO UPDATE SET count = solved_answers.count + 1",
        day,
        class as FailureClass,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Failures that advice solved since, by class, most first.
///
/// # Errors
/// The database's.
pub async fn solved_since(
    conn: &mut PgConnection,
    day: NaiveDate,
) -> Result<Vec<(FailureClass, i64)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT failure_class AS "class: FailureClass", sum(count) AS "count!"
           FROM solved_answers WHERE day >= $1 GROUP BY failure_class ORDER BY sum(count) DESC"#,
        day,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.class, row.count)).collect())
}
