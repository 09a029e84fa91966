//! The SQL of pictures that move to the object store, and of objects whose picture is gone.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

/// A ticket's picture that is still here.
#[derive(Debug)]
pub struct Here {
    /// The screenshot.
    pub id: Uuid,
    /// The file.
    pub content: Vec<u8>,
}

/// The oldest picture of a ticket that is here.
///
/// # Errors
/// The database's.
pub async fn next_here(conn: &mut PgConnection) -> Result<Option<Here>, sqlx::Error> {
    query_as!(
        Here,
        r#"SELECT id, content AS "content!" FROM attachments
           WHERE stored_as IS NULL AND ticket_id IS NOT NULL ORDER BY id LIMIT 1"#,
    )
    .fetch_optional(conn)
    .await
}

/// Notes an object that is about to be stored.
///
/// # Errors
/// The database's.
pub async fn announce(
    conn: &mut PgConnection,
    key: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO stored_objects (key, created_at) VALUES ($1, $2)",
        key,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Says that the object has the picture. `false` if it went, or another node moved it, meanwhile.
///
/// # Errors
/// The database's.
pub async fn moved(conn: &mut PgConnection, id: Uuid, key: &str) -> Result<bool, sqlx::Error> {
    let done = query!(
        "UPDATE attachments SET stored_as = $2, stored_bytes = length(content), content = NULL
         WHERE id = $1 AND stored_as IS NULL",
        id,
        key,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Up to `limit` objects announced before this that no picture is in.
///
/// # Errors
/// The database's.
pub async fn orphans(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        "SELECT key FROM stored_objects AS object WHERE created_at < $1
           AND NOT EXISTS (SELECT FROM attachments WHERE stored_as = object.key)
         ORDER BY created_at LIMIT $2",
        before,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Forgets an object that was deleted.
///
/// # Errors
/// The database's.
pub async fn forget(conn: &mut PgConnection, key: &str) -> Result<(), sqlx::Error> {
    query!("DELETE FROM stored_objects WHERE key = $1", key)
        .execute(conn)
        .await
        .map(drop)
}
