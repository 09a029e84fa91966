//! The SQL of screenshots: those of tickets, and those of forms that were not sent whole yet.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::conversation::Audience;

/// A screenshot without its picture.
#[derive(Debug, Clone)]
pub struct AttachmentInfo {
    /// Its ID.
    pub id: Uuid,
    /// `image/png`, `image/jpeg` or `image/gif`.
    pub media_type: String,
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
    /// Size of the picture's file.
    pub bytes: i32,
    /// The message it came with; `None` for those of the report, and while it is unsent.
    pub message_id: Option<Uuid>,
}

/// A picture: here, or in the object store. [`super::blobs::Blobs::open`] reads it wherever it is.
#[derive(Debug)]
pub struct Picture {
    /// `image/png`, `image/jpeg` or `image/gif`.
    pub media_type: String,
    /// The file, if it is here.
    pub content: Option<Vec<u8>>,
    /// The object that has it otherwise.
    pub stored_as: Option<String>,
}

/// A screenshot to keep.
#[derive(Debug, Clone)]
pub struct NewAttachment<'a> {
    /// Its ID.
    pub id: Uuid,
    /// `image/png`, `image/jpeg` or `image/gif`.
    pub media_type: &'a str,
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
    /// The file.
    pub content: &'a [u8],
}

/// Keeps a screenshot of a form that was not sent whole.
///
/// # Errors
/// The database's.
pub async fn insert_draft(
    conn: &mut PgConnection,
    draft_hash: [u8; 32],
    new: &NewAttachment<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO attachments (id, draft_hash, media_type, width, height, content, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.id,
        &draft_hash[..],
        new.media_type,
        new.width,
        new.height,
        new.content,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The screenshots of a form that was not sent whole, in order.
///
/// # Errors
/// The database's.
pub async fn drafts(
    conn: &mut PgConnection,
    draft_hash: [u8; 32],
) -> Result<Vec<AttachmentInfo>, sqlx::Error> {
    query_as!(
        AttachmentInfo,
        r#"SELECT id, media_type, width, height, coalesce(stored_bytes, length(content)) AS "bytes!", message_id
           FROM attachments WHERE draft_hash = $1 ORDER BY id"#,
        &draft_hash[..],
    )
    .fetch_all(conn)
    .await
}

/// Takes one screenshot out of an unsent form.
///
/// # Errors
/// The database's.
pub async fn delete_draft(
    conn: &mut PgConnection,
    draft_hash: [u8; 32],
    id: Uuid,
) -> Result<(), sqlx::Error> {
    query!(
        "DELETE FROM attachments WHERE draft_hash = $1 AND id = $2",
        &draft_hash[..],
        id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// How many screenshots wait for their forms to be sent, counted up to `limit`.
///
/// # Errors
/// The database's.
pub async fn count_unsent(conn: &mut PgConnection, limit: i64) -> Result<i64, sqlx::Error> {
    query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT 1 FROM attachments WHERE ticket_id IS NULL LIMIT $1) AS unsent"#,
        limit,
    )
    .fetch_one(conn)
    .await
}

/// Forgets the screenshots of forms that were never sent.
///
/// # Errors
/// The database's.
pub async fn delete_unsent(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        "DELETE FROM attachments WHERE ticket_id IS NULL AND created_at < $1",
        before
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// A ticket's screenshots, those of the report and of all messages that the audience sees, in order.
///
/// # Errors
/// The database's.
pub async fn of_ticket(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    audience: Audience,
) -> Result<Vec<AttachmentInfo>, sqlx::Error> {
    query_as!(
        AttachmentInfo,
        r#"SELECT file.id, media_type, width, height, coalesce(stored_bytes, length(content)) AS "bytes!", message_id
           FROM attachments AS file LEFT JOIN messages ON messages.id = message_id
           WHERE file.ticket_id = $1 AND ($2 OR is_internal IS NOT TRUE) ORDER BY file.id"#,
        ticket_id,
        audience.sees_notes(),
    )
    .fetch_all(conn)
    .await
}

/// One picture of a ticket, if the audience may see it.
///
/// # Errors
/// The database's.
pub async fn picture(
    conn: &mut PgConnection,
    ticket_id: Uuid,
    id: Uuid,
    audience: Audience,
) -> Result<Option<Picture>, sqlx::Error> {
    query_as!(
        Picture,
        "SELECT media_type, content, stored_as FROM attachments AS file LEFT JOIN messages ON messages.id = message_id
         WHERE file.ticket_id = $1 AND file.id = $2 AND ($3 OR is_internal IS NOT TRUE)",
        ticket_id,
        id,
        audience.sees_notes(),
    )
    .fetch_optional(conn)
    .await
}

/// One picture of an unsent form.
///
/// # Errors
/// The database's.
pub async fn draft_picture(
    conn: &mut PgConnection,
    draft_hash: [u8; 32],
    id: Uuid,
) -> Result<Option<Picture>, sqlx::Error> {
    query_as!(
        Picture,
        "SELECT media_type, content, stored_as FROM attachments WHERE draft_hash = $1 AND id = $2",
        &draft_hash[..],
        id,
    )
    .fetch_optional(conn)
    .await
}
