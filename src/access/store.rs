//! The SQL of accounts, API keys, staff and sessions.

use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, PgPool, query, query_as, query_scalar};
use uuid::Uuid;

use super::api_key::Scope;
use super::session::Role;
use crate::clock::new_id;
use crate::db::shared::Lookup;

/// "Last used" is written at most this often, so that a busy key does not cost a write a request.
const LAST_USED_EVERY: Duration = Duration::minutes(1);

/// A key that may be used.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The key's ID.
    pub id: Uuid,
    /// Whose key.
    pub account_id: Uuid,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The origins of the pages that may use it; `None` for a key that is a secret.
    pub origins: Option<Vec<String>>,
}

/// A key as `key list` shows it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the list")]
pub struct KeyListing {
    pub id: Uuid,
    pub account: String,
    pub label: String,
    pub scopes: Vec<Scope>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub origins: Option<Vec<String>>,
}

/// What a new key is for.
#[derive(Debug, Clone, Copy)]
pub enum Rights<'a> {
    /// A secret with these scopes.
    Secret(&'a [Scope]),
    /// Opens tickets from pages of these origins.
    Publishable(&'a [String]),
}

/// Keeps a new key for an account, which is made if there is none of the name.
///
/// # Errors
/// The database's.
pub async fn insert_key(
    conn: &mut PgConnection,
    account: &str,
    label: &str,
    rights: Rights<'_>,
    hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Uuid, sqlx::Error> {
    let id = new_id();
    let (scopes, origins) = match rights {
        Rights::Secret(scopes) => (scopes, None),
        Rights::Publishable(origins) => (&[Scope::TicketsWrite][..], Some(origins)),
    };
    query!(
        "WITH account AS (
             INSERT INTO accounts (id, name, created_at) VALUES ($2, $3, $7)
             ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING id
         )
         INSERT INTO api_keys (id, account_id, label, scopes, secret_hash, created_at, origins)
         SELECT $1, account.id, $4, $5, $6, $7, $8 FROM account",
        id,
        new_id(),
        account,
        label,
        scopes as &[Scope],
        &hash[..],
        now,
        origins,
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// All keys, newest first.
///
/// # Errors
/// The database's.
pub async fn list_keys(conn: &mut PgConnection) -> Result<Vec<KeyListing>, sqlx::Error> {
    query_as!(
        KeyListing,
        r#"SELECT key.id, account.name AS account, key.label, key.scopes AS "scopes: Vec<Scope>", key.created_at,
                  key.last_used_at, key.revoked_at, key.origins
           FROM api_keys AS key JOIN accounts AS account ON account.id = key.account_id
           ORDER BY key.id DESC LIMIT 1000"#
    )
    .fetch_all(conn)
    .await
}

/// Revokes a key. `false` if there is none of this ID that is not revoked.
///
/// # Errors
/// The database's.
pub async fn revoke_key(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The key with this hash, unless it is revoked.
///
/// # Errors
/// The database's.
pub async fn find_key(
    conn: &mut PgConnection,
    hash: [u8; 32],
) -> Result<Option<KeyRow>, sqlx::Error> {
    query_as!(
        KeyRow,
        r#"SELECT id, account_id, scopes AS "scopes: Vec<Scope>", last_used_at, origins
           FROM api_keys WHERE secret_hash = $1 AND revoked_at IS NULL"#,
        &hash[..],
    )
    .fetch_optional(conn)
    .await
}

/// API keys by the hash of their secret, without those that are revoked.
pub struct Keys;

impl Lookup for Keys {
    type Key = [u8; 32];
    type Found = KeyRow;

    async fn look(conn: &mut PgConnection, hash: [u8; 32]) -> Result<Option<KeyRow>, sqlx::Error> {
        find_key(conn, hash).await
    }
}

/// Whether any publishable key may be used by pages of this origin.
///
/// # Errors
/// The database's.
pub async fn is_origin_known(conn: &mut PgConnection, origin: &str) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM api_keys WHERE revoked_at IS NULL AND origins IS NOT NULL AND origins @> ARRAY[$1]
           ) AS "exists!""#,
        origin
    )
    .fetch_one(conn)
    .await
}

/// Notes that a key was used, if that was not noted a moment ago.
///
/// # Errors
/// The database's.
pub async fn note_key_used(
    pool: &PgPool,
    key: &KeyRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if key
        .last_used_at
        .is_some_and(|last| now - last < LAST_USED_EVERY)
    {
        return Ok(());
    }
    query!(
        // Of many that come at this moment one writes.
        "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
        key.id,
        now,
        now - LAST_USED_EVERY,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// A member of staff, to check a password against.
#[derive(Debug)]
pub struct StaffRow {
    /// Their ID.
    pub id: Uuid,
    /// argon2id, PHC string.
    pub password_hash: String,
}

/// Adds a member of staff, or gives one who is there a new password and role and ends their sessions.
///
/// # Errors
/// The database's.
pub async fn upsert_staff(
    conn: &mut PgConnection,
    email: &str,
    password_hash: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "WITH person AS (
             INSERT INTO staff (id, email, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (lower(email)) DO UPDATE SET password_hash = EXCLUDED.password_hash, role = EXCLUDED.role
             RETURNING id
         )
         DELETE FROM sessions USING person WHERE staff_id = person.id",
        new_id(),
        email,
        password_hash,
        role as Role,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Whether there is anybody to sign in.
///
/// # Errors
/// The database's.
pub async fn has_staff(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM staff) AS "exists!""#)
        .fetch_one(conn)
        .await
}

/// The member of staff with this address, in any case.
///
/// # Errors
/// The database's.
pub async fn find_staff(
    conn: &mut PgConnection,
    email: &str,
) -> Result<Option<StaffRow>, sqlx::Error> {
    query_as!(
        StaffRow,
        "SELECT id, password_hash FROM staff WHERE lower(email) = lower($1)",
        email
    )
    .fetch_optional(conn)
    .await
}

/// A member of staff, by what others know of them.
#[derive(Debug, Clone)]
pub struct Colleague {
    /// Their ID.
    pub id: Uuid,
    /// Their address.
    pub email: String,
}

/// Most members of staff in a list of whom a ticket may be given to.
const MAX_COLLEAGUES: i64 = 500;

/// All members of staff, by address.
///
/// # Errors
/// The database's.
pub async fn colleagues(conn: &mut PgConnection) -> Result<Vec<Colleague>, sqlx::Error> {
    query_as!(
        Colleague,
        "SELECT id, email FROM staff ORDER BY lower(email) LIMIT $1",
        MAX_COLLEAGUES
    )
    .fetch_all(conn)
    .await
}

/// A session and who has it.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Whose session.
    pub staff_id: Uuid,
    /// Their address.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Must come back with every state-changing request.
    pub csrf_token: String,
}

/// Begins a session.
///
/// # Errors
/// The database's.
pub async fn insert_session(
    conn: &mut PgConnection,
    token_hash: [u8; 32],
    staff_id: Uuid,
    csrf_token: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO sessions (token_hash, staff_id, csrf_token, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        &token_hash[..],
        staff_id,
        csrf_token,
        now,
        expires_at,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The session of a cookie, unless it is over.
///
/// # Errors
/// The database's.
pub async fn find_session(
    conn: &mut PgConnection,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<SessionRow>, sqlx::Error> {
    query_as!(
        SessionRow,
        r#"SELECT session.staff_id, staff.email, staff.role AS "role: Role", session.csrf_token
           FROM sessions AS session JOIN staff ON staff.id = session.staff_id
           WHERE session.token_hash = $1 AND session.expires_at > $2"#,
        &token_hash[..],
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Ends a session.
///
/// # Errors
/// The database's.
pub async fn delete_session(
    conn: &mut PgConnection,
    token_hash: [u8; 32],
) -> Result<(), sqlx::Error> {
    query!(
        "DELETE FROM sessions WHERE token_hash = $1",
        &token_hash[..]
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets sessions that are over.
///
/// # Errors
/// The database's.
pub async fn delete_expired_sessions(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = query!("DELETE FROM sessions WHERE expires_at <= $1", now)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// Forgets first answers to requests with an `Idempotency-Key` given before `limit`.
///
/// # Errors
/// The database's.
pub async fn delete_old_answers(
    conn: &mut PgConnection,
    limit: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = query!("DELETE FROM idempotency_keys WHERE created_at < $1", limit)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}
