//! The SQL of lists that show tickets together with their links.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::state::LinkState;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// A ticket in a list.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns, documented in migrations/0003_tickets.sql and 0004_links.sql"
)]
pub struct ListedTicket {
    pub id: Uuid,
    pub reference: String,
    pub status: TicketStatus,
    pub created_at: DateTime<Utc>,
    pub action: String,
    pub page_url: String,
    pub occurred_at: DateTime<Utc>,
    pub kind: String,
    pub link_state: LinkState,
    pub trace_id: Option<Uuid>,
    pub failure_class: Option<FailureClass>,
    pub failing_service: Option<String>,
    pub failure_rule: Option<String>,
}

/// Longest piece of an action that a list shows.
pub const LISTED_ACTION_CHARS: i32 = 200;

/// Tickets newest first, those before a cursor, of one status or of all.
///
/// # Errors
/// The database's.
#[tracing::instrument(name = "list tickets", skip_all)]
pub async fn list(
    conn: &mut PgConnection,
    status: Option<TicketStatus>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<ListedTicket>, sqlx::Error> {
    // No ticket is younger than this, so it stands for "from the start".
    let (created_at, id) =
        before.unwrap_or((DateTime::<Utc>::from_timestamp_nanos(i64::MAX), Uuid::max()));
    match status {
        Some(status) => {
            query_as!(
                ListedTicket,
                r#"SELECT t.id, t.reference, t.status AS "status: TicketStatus", t.created_at,
                          left(t.action, $5) AS "action!", t.page_url, t.occurred_at, t.kind::text AS "kind!",
                          l.state AS "link_state: LinkState", l.trace_id,
                          l.failure_class AS "failure_class: FailureClass", l.failing_service, l.failure_rule
                   FROM tickets AS t JOIN links AS l ON l.ticket_id = t.id
                   WHERE t.status = $1 AND (t.created_at, t.id) < ($2, $3)
                   ORDER BY t.created_at DESC, t.id DESC LIMIT $4"#,
                status as TicketStatus,
                created_at,
                id,
                limit,
                LISTED_ACTION_CHARS,
            )
            .fetch_all(conn)
            .await
        }
        None => {
            query_as!(
                ListedTicket,
                r#"SELECT t.id, t.reference, t.status AS "status: TicketStatus", t.created_at,
                          left(t.action, $4) AS "action!", t.page_url, t.occurred_at, t.kind::text AS "kind!",
                          l.state AS "link_state: LinkState", l.trace_id,
                          l.failure_class AS "failure_class: FailureClass", l.failing_service, l.failure_rule
                   FROM tickets AS t JOIN links AS l ON l.ticket_id = t.id
                   WHERE (t.created_at, t.id) < ($1, $2)
                   ORDER BY t.created_at DESC, t.id DESC LIMIT $3"#,
                created_at,
                id,
                limit,
                LISTED_ACTION_CHARS,
            )
            .fetch_all(conn)
            .await
        }
    }
}

/// Most tickets named beside a trace.
const MAX_TICKETS_OF_TRACE: i64 = 50;

/// Tickets that a trace is linked to, newest first.
///
/// # Errors
/// The database's.
pub async fn of_trace(
    conn: &mut PgConnection,
    trace_id: Uuid,
) -> Result<Vec<ListedTicket>, sqlx::Error> {
    query_as!(
        ListedTicket,
        r#"SELECT t.id, t.reference, t.status AS "status: TicketStatus", t.created_at, left(t.action, $3) AS "action!",
                  t.page_url, t.occurred_at, t.kind::text AS "kind!", l.state AS "link_state: LinkState", l.trace_id,
                  l.failure_class AS "failure_class: FailureClass", l.failing_service, l.failure_rule
           FROM links AS l JOIN tickets AS t ON t.id = l.ticket_id
           WHERE l.trace_id = $1 ORDER BY t.created_at DESC LIMIT $2"#,
        trace_id,
        MAX_TICKETS_OF_TRACE,
        LISTED_ACTION_CHARS,
    )
    .fetch_all(conn)
    .await
}
