//! The SQL of traces: parts in, parts out, partitions by day.

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::copy;
use super::ids::{SpanId, TraceId};
use super::part::TracePart;

/// Most bytes of one trace, decompressed, that are read at once: as much as one export may bring.
pub const MAX_TRACE_BYTES: i64 = 64 * 1024 * 1024;
/// A part up to this size, decompressed, is read at once; most are a hundredth of it.
const USUAL_PART_BYTES: i32 = 2 * 1024 * 1024;
/// A trace of up to this many parts is read at once: 32 * 2 MiB are [`MAX_TRACE_BYTES`].
const USUAL_PARTS: i64 = 32;
/// IDs of one query: as many as its statement has parameters. Not one parameter that is an array: Postgres expects
/// ten elements of an unknown array, so that a plan made for the one at hand always looks cheaper than the kept plan,
/// and every query would be planned anew, over all partitions.
const MAX_KEYS: usize = 8;
/// Days for which partitions stand ready, today among them: a stopped maintenance task is noticed long before.
pub const PARTITION_DAYS_AHEAD: u64 = 4;
/// Traces looked into for a span: of two million parts of 50 spans, 0.02 others share four bytes with it.
const MAX_SPAN_CANDIDATES: i64 = 100;
/// Rows up to this size keep their payload with them, two to a page of 8,192 bytes without its header of 24 and 4 for
/// each row: beside the row it would be cut into pieces of 1,996, each with a header and an index entry.
const INLINE_ROW_BYTES: usize = (8_192 - 24 - 2 * 4) / 2;
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
    parts: impl IntoIterator<Item = &TracePart> + Clone,
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

/// Reads a trace from both tables, its first parts if it is larger than [`MAX_TRACE_BYTES`].
///
/// # Errors
/// The database's.
pub async fn find(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<StoredTrace>, sqlx::Error> {
    let parts = match find_usual(&mut *conn, trace_id).await? {
        Some(parts) => parts,
        None => find_large(conn, trace_id).await?,
    };
    Ok((!parts.is_empty()).then(|| whole(parts)))
}

/// `None` when the trace has more or larger parts than usual, and their sizes must be looked at first.
async fn find_usual(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<Vec<StoredPart>>, sqlx::Error> {
    let rows = query!(
        r#"SELECT part_id AS "part_id!", raw_bytes AS "raw_bytes!", payload FROM (
               SELECT part_id, raw_bytes, CASE WHEN raw_bytes <= $2 THEN payload END AS payload
               FROM trace_parts WHERE trace_id = $1
               UNION ALL
               SELECT part_id, raw_bytes, CASE WHEN raw_bytes <= $2 THEN payload END
               FROM pinned_parts WHERE trace_id = $1
           ) AS parts
           LIMIT $3"#,
        trace_id.as_uuid(),
        USUAL_PART_BYTES,
        USUAL_PARTS + 1,
    )
    .fetch_all(conn)
    .await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count > USUAL_PARTS) {
        return Ok(None);
    }
    let parts = rows.into_iter().map(|row| {
        Some(StoredPart {
            part_id: row.part_id,
            raw_bytes: row.raw_bytes,
            payload: row.payload?,
        })
    });
    Ok(parts.collect())
}

/// Cut before payloads are fetched: a client's bug may put a million parts under one ID. A part that is in both
/// tables counts twice here, hence twice the bound.
async fn find_large(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Vec<StoredPart>, sqlx::Error> {
    query_as!(
        StoredPart,
        r#"SELECT part_id AS "part_id!", raw_bytes AS "raw_bytes!", payload AS "payload!"
           FROM (
               SELECT part_id, raw_bytes, payload,
                      sum(raw_bytes) OVER (ORDER BY part_id ROWS UNBOUNDED PRECEDING) - raw_bytes AS before
               FROM (
                   SELECT part_id, raw_bytes, payload FROM trace_parts WHERE trace_id = $1
                   UNION ALL
                   SELECT part_id, raw_bytes, payload FROM pinned_parts WHERE trace_id = $1
               ) AS both_tables
           ) AS parts
           WHERE before <= 2 * $2::bigint"#,
        trace_id.as_uuid(),
        MAX_TRACE_BYTES,
    )
    .fetch_all(conn)
    .await
}

/// Oldest first. Newest pins and parts overlap: a part that is in both tables counts once. The first part always
/// counts, however large.
fn whole(mut parts: Vec<StoredPart>) -> StoredTrace {
    parts.sort_by_key(|part| part.part_id);
    parts.dedup_by_key(|part| part.part_id);
    let mut total = 0;
    let before = parts.len();
    parts.retain(|part| {
        total += i64::from(part.raw_bytes);
        total <= MAX_TRACE_BYTES || total == i64::from(part.raw_bytes)
    });
    StoredTrace {
        is_truncated: parts.len() < before,
        parts,
    }
}

/// Of fewer than [`MAX_KEYS`] the first one stands for the missing ones.
fn padded(ids: &[Uuid]) -> [Uuid; MAX_KEYS] {
    std::array::from_fn(|index| {
        let id = ids.get(index).or(ids.first());
        id.copied().unwrap_or_default()
    })
}

/// Which of these traces are stored.
///
/// # Errors
/// The database's.
pub async fn stored_among(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut stored = Vec::new();
    for ids in ids.chunks(MAX_KEYS) {
        let [k1, k2, k3, k4, k5, k6, k7, k8] = padded(ids);
        let found = query_scalar!(
            r#"SELECT DISTINCT trace_id AS "trace_id!" FROM (
                   SELECT trace_id FROM trace_parts UNION ALL SELECT trace_id FROM pinned_parts
               ) AS parts
               WHERE trace_id IN ($1, $2, $3, $4, $5, $6, $7, $8)"#,
            k1,
            k2,
            k3,
            k4,
            k5,
            k6,
            k7,
            k8,
        );
        stored.extend(found.fetch_all(&mut *conn).await?);
    }
    Ok(stored)
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

/// When a trace started, as far as it is stored.
///
/// # Errors
/// The database's.
pub async fn start(
    conn: &mut PgConnection,
    trace_id: TraceId,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    query_scalar!(
        "SELECT min(started_at) FROM (
             SELECT started_at FROM trace_parts WHERE trace_id = $1
             UNION ALL SELECT started_at FROM pinned_parts WHERE trace_id = $1
         ) AS parts",
        trace_id.as_uuid(),
    )
    .fetch_one(conn)
    .await
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
        if !existing.iter().any(|name| *name == partition_name(day)) {
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
    let exists = partitions(&mut tx).await?.contains(&name);
    if !exists {
        let statements = [
            format!(
                "CREATE TABLE {name} (LIKE trace_parts INCLUDING DEFAULTS INCLUDING STORAGE) \
                 WITH (toast_tuple_target = {INLINE_ROW_BYTES})"
            ),
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

async fn partitions(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        "SELECT class.relname::text AS name
         FROM pg_inherits AS inherits JOIN pg_class AS class ON class.oid = inherits.inhrelid
         WHERE inherits.inhparent = 'trace_parts'::regclass
         ORDER BY class.relname"
    )
    .fetch_all(conn)
    .await
    .map(|names| names.into_iter().flatten().collect())
}

/// Drops the partitions of the days before `oldest_kept`; returns how many. Waits two seconds for readers and writers
/// of the moment, and otherwise leaves it to the next hour: those who come meanwhile wait behind it.
///
/// # Errors
/// The database's.
pub async fn drop_partitions_before(
    conn: &mut PgConnection,
    oldest_kept: NaiveDate,
) -> Result<usize, sqlx::Error> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    query!("SET LOCAL lock_timeout = '2s'")
        .execute(&mut *tx)
        .await?;
    let is_ours = query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1) AS "locked!""#,
        PARTITION_LOCK
    )
    .fetch_one(&mut *tx)
    .await?;
    if !is_ours {
        return Ok(0); // another node is at it
    }
    let limit = partition_name(oldest_kept);
    // Names sort as their dates do.
    let old: Vec<String> = partitions(&mut tx)
        .await?
        .into_iter()
        .filter(|name| *name < limit)
        .collect();
    for name in &old {
        // Named by us, from the catalogue.
        query(AssertSqlSafe(format!("DROP TABLE {name}")))
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(old.len())
}

fn partition_name(day: NaiveDate) -> String {
    format!("trace_parts_{}", day.format("%Y%m%d"))
}
