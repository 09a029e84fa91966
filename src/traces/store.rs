//! The SQL of traces: parts in, parts out, partitions by day.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, query, query_scalar};
use uuid::Uuid;

use super::copy;
use super::ids::{SpanId, TraceId};
use super::part::TracePart;
use crate::db::grouped::{Lookup, padded};

/// Most bytes of one trace, decompressed, that are read at once: as much as one export may bring.
pub const MAX_TRACE_BYTES: i64 = 64 * 1024 * 1024;
/// Days for which partitions stand ready, today among them: a stopped maintenance task is noticed long before.
pub const PARTITION_DAYS_AHEAD: u64 = 4;
/// Traces looked into for a span: of two million parts of 50 spans, 0.02 others share four bytes with it.
const MAX_SPAN_CANDIDATES: i64 = 100;
/// Names the advisory lock that lets one node at a time change partitions ("tdpart" as a number).
const PARTITION_LOCK: i64 = 0x7464_7061_7274;

/// A stored part, still compressed.
#[derive(Debug)]
pub struct StoredPart {
    /// `UUIDv7`; the same in both tables.
    pub part_id: Uuid,
    /// Size once decompressed.
    pub raw_bytes: i32,
    /// zstd of an OTLP `TracesData`.
    pub payload: Vec<u8>,
}

/// What is stored of a trace, oldest part first.
#[derive(Debug)]
pub struct StoredTrace {
    /// The parts, each once.
    pub parts: Vec<StoredPart>,
    /// Whether parts beyond [`MAX_TRACE_BYTES`] were left out.
    pub is_truncated: bool,
}

/// Appends parts. On a connection outside a transaction this is one round of COPY and commits by itself.
///
/// # Errors
/// The database's; nothing was stored then, unless the answer to the commit was lost.
pub async fn copy_parts(
    conn: &mut PgConnection,
    parts: impl IntoIterator<Item = &TracePart>,
    received_at: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let statement = format!(
        "COPY trace_parts ({}) FROM STDIN (FORMAT binary)",
        copy::COLUMNS
    );
    let mut stream = conn.copy_in_raw(&statement).await?;
    stream.send(copy::encode(parts, received_at)).await?;
    stream.finish().await
}

/// Reads a trace from both tables.
///
/// # Errors
/// The database's.
#[tracing::instrument(name = "find trace", skip_all)]
pub async fn find(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<StoredTrace>, sqlx::Error> {
    Ok(find_all(conn, &[trace_id]).await?.remove(&trace_id))
}

/// Reads those of the traces, 1 to [`MAX_KEYS`](crate::db::grouped::MAX_KEYS), that are stored, from both tables.
///
/// # Errors
/// The database's.
pub async fn find_all(
    conn: &mut PgConnection,
    trace_ids: &[TraceId],
) -> Result<HashMap<TraceId, StoredTrace>, sqlx::Error> {
    let [a, b, c, d, e, f, g, h] = padded(trace_ids).map(TraceId::as_uuid);
    let rows = query!(
        r#"SELECT trace_id AS "trace_id!", part_id AS "part_id!", raw_bytes AS "raw_bytes!", payload AS "payload!"
           FROM (
               SELECT trace_id, part_id, raw_bytes, payload FROM trace_parts
               UNION ALL
               SELECT trace_id, part_id, raw_bytes, payload FROM pinned_parts
           ) AS parts
           WHERE trace_id IN ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        a, b, c, d, e, f, g, h,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<TraceId, Vec<StoredPart>> = HashMap::new();
    for row in rows {
        if let Some(trace_id) = TraceId::from_uuid(row.trace_id) {
            found.entry(trace_id).or_default().push(StoredPart {
                part_id: row.part_id,
                raw_bytes: row.raw_bytes,
                payload: row.payload,
            });
        }
    }
    let traces = found.into_iter();
    Ok(traces.map(|(id, parts)| (id, whole(parts))).collect())
}

/// Oldest first. Newest pins and parts overlap: a part that is in both tables counts once.
fn whole(mut parts: Vec<StoredPart>) -> StoredTrace {
    parts.sort_by_key(|part| part.part_id);
    parts.dedup_by_key(|part| part.part_id);
    let mut total = 0;
    let before = parts.len();
    parts.retain(|part| {
        total += i64::from(part.raw_bytes);
        total <= MAX_TRACE_BYTES
    });
    StoredTrace {
        is_truncated: parts.len() < before,
        parts,
    }
}

/// Traces by their ID.
pub struct Traces;

impl Lookup for Traces {
    type Key = TraceId;
    type Found = Arc<StoredTrace>;

    async fn look(
        conn: &mut PgConnection,
        ids: &[TraceId],
    ) -> Result<HashMap<TraceId, Arc<StoredTrace>>, sqlx::Error> {
        let found = find_all(conn, ids).await?.into_iter();
        Ok(found.map(|(id, stored)| (id, Arc::new(stored))).collect())
    }
}

/// Which of these traces are stored.
///
/// # Errors
/// The database's.
pub async fn stored_among(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    query_scalar!(
        r#"SELECT id AS "id!" FROM unnest($1::uuid[]) AS id
           WHERE EXISTS (SELECT 1 FROM trace_parts WHERE trace_id = id)
              OR EXISTS (SELECT 1 FROM pinned_parts WHERE trace_id = id)"#,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Traces that may hold one of these spans: the last four bytes of a span's ID are the same. Reads every part of the
/// last `hours`, some 0.3 s a million, so callers see to it that few run at a time.
///
/// # Errors
/// The database's.
pub async fn candidates_by_spans(
    conn: &mut PgConnection,
    span_ids: &[SpanId],
    hours: i32,
) -> Result<Vec<TraceId>, sqlx::Error> {
    let tails: Vec<i32> = span_ids.iter().map(|id| id.tail()).collect();
    let ids = query_scalar!(
        r#"SELECT DISTINCT trace_id AS "trace_id!" FROM (
               SELECT trace_id FROM trace_parts
               WHERE received_at > now() - make_interval(hours => $2) AND span_id_tails && $1
               UNION ALL
               SELECT trace_id FROM pinned_parts WHERE span_id_tails && $1
           ) AS parts LIMIT $3"#,
        &tails,
        hours,
        MAX_SPAN_CANDIDATES,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().filter_map(TraceId::from_uuid).collect())
}

/// Copies the stored parts of a trace to where retention does not reach.
///
/// # Errors
/// The database's.
pub async fn pin(conn: &mut PgConnection, trace_id: TraceId) -> Result<u64, sqlx::Error> {
    let done = query!(
        "INSERT INTO pinned_parts SELECT * FROM trace_parts WHERE trace_id = $1 ON CONFLICT (part_id) DO NOTHING",
        trace_id.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// When a pinned trace started.
///
/// # Errors
/// The database's.
pub async fn pinned_start(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    query_scalar!(
        "SELECT min(started_at) FROM pinned_parts WHERE trace_id = $1",
        trace_id.as_uuid()
    )
    .fetch_one(conn)
    .await
}

/// The day from which on traces are kept: IDs reported for earlier times are past retention.
#[must_use]
pub fn oldest_kept_day(now: DateTime<Utc>, retention_days: u32) -> NaiveDate {
    now.date_naive()
        .checked_sub_days(Days::new(retention_days.into()))
        .unwrap_or(NaiveDate::MIN)
}

/// Makes the partitions of today and the days ahead, those that are not there yet.
///
/// # Errors
/// The database's.
pub async fn ensure_partitions(
    conn: &mut PgConnection,
    today: NaiveDate,
) -> Result<(), sqlx::Error> {
    let existing = partitions(&mut *conn).await?;
    for ahead in 0..PARTITION_DAYS_AHEAD {
        let Some(day) = today.checked_add_days(Days::new(ahead)) else {
            continue;
        };
        if !existing
            .iter()
            .any(|partition| partition.name == partition_name(day))
        {
            create_partition(&mut *conn, day).await?;
        }
    }
    Ok(())
}

/// Attaching takes a weaker lock than `CREATE TABLE ... PARTITION OF`, which would wait for all who read or write.
async fn create_partition(conn: &mut PgConnection, day: NaiveDate) -> Result<(), sqlx::Error> {
    let (Some(next), name) = (day.succ_opt(), partition_name(day)) else {
        return Ok(());
    };
    let mut tx = sqlx::Connection::begin(conn).await?;
    query_scalar!("SELECT pg_advisory_xact_lock($1)", PARTITION_LOCK)
        .fetch_one(&mut *tx)
        .await?;
    // Another node may have made it while this one waited for the lock.
    let exists = partitions(&mut tx)
        .await?
        .iter()
        .any(|partition| partition.name == name);
    if !exists {
        let statements = [
            format!("CREATE TABLE {name} (LIKE trace_parts INCLUDING DEFAULTS INCLUDING STORAGE)"),
            format!(
                "ALTER TABLE trace_parts ATTACH PARTITION {name} \
                 FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
            ),
        ];
        for statement in statements {
            // Made of a date alone.
            query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
        }
    }
    tx.commit().await
}

struct Partition {
    name: String,
    is_detaching: bool,
}

async fn partitions(conn: &mut PgConnection) -> Result<Vec<Partition>, sqlx::Error> {
    let rows = query!(
        "SELECT class.relname AS name, inherits.inhdetachpending AS is_detaching
         FROM pg_inherits AS inherits JOIN pg_class AS class ON class.oid = inherits.inhrelid
         WHERE inherits.inhparent = 'trace_parts'::regclass
         ORDER BY class.relname"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Partition {
            name: row.name,
            is_detaching: row.is_detaching,
        })
        .collect())
}

/// Drops the partitions of the days before `oldest_kept`; returns how many. `conn` must not be in a transaction:
/// detaching concurrently does not stop readers and writers, and can't be part of one.
///
/// # Errors
/// The database's.
pub async fn drop_partitions_before(
    conn: &mut PgConnection,
    oldest_kept: NaiveDate,
) -> Result<usize, sqlx::Error> {
    let locked = query_scalar!(
        r#"SELECT pg_try_advisory_lock($1) AS "locked!""#,
        PARTITION_LOCK
    )
    .fetch_one(&mut *conn)
    .await?;
    if !locked {
        return Ok(0); // another node is at it
    }
    let dropped = drop_locked(&mut *conn, oldest_kept).await;
    query_scalar!("SELECT pg_advisory_unlock($1)", PARTITION_LOCK)
        .fetch_one(conn)
        .await?;
    dropped
}

async fn drop_locked(
    conn: &mut PgConnection,
    oldest_kept: NaiveDate,
) -> Result<usize, sqlx::Error> {
    let limit = partition_name(oldest_kept);
    let old = partitions(&mut *conn).await?;
    let mut dropped = 0;
    // Names sort as their dates do.
    for Partition { name, is_detaching } in
        old.into_iter().filter(|partition| partition.name < limit)
    {
        let how = if is_detaching {
            "FINALIZE"
        } else {
            "CONCURRENTLY"
        };
        for statement in [
            format!("ALTER TABLE trace_parts DETACH PARTITION {name} {how}"),
            format!("DROP TABLE {name}"),
        ] {
            // Named by us, from the catalogue.
            query(AssertSqlSafe(statement)).execute(&mut *conn).await?;
        }
        dropped += 1;
    }
    Ok(dropped)
}

fn partition_name(day: NaiveDate) -> String {
    format!("trace_parts_{}", day.format("%Y%m%d"))
}
