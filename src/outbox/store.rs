//! The SQL of the outbox.

use sqlx::{PgConnection, query};
use uuid::Uuid;

/// Makes mails due now that were waiting for their ticket's trace.
///
/// # Errors
/// The database's.
pub async fn hasten(conn: &mut PgConnection, ticket_ids: &[Uuid]) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE outbox SET due_at = now(), awaits_trace = false
         WHERE ticket_id = ANY ($1) AND awaits_trace AND state = 'queued'",
        ticket_ids,
    )
    .execute(conn)
    .await
    .map(drop)
}
