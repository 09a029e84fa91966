//! Whether what failed works again: a later trace of the same user and route without a failure. Looked for each minute,
//! for tickets that are not closed, among what came since the last look.

use chrono::{DateTime, Duration, Utc};
use sqlx::{Connection as _, PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::resolve::{ResolveError, Resolver};
use crate::tickets::event::{self, TicketEventKind};
use crate::traces::ids::TraceId;
use crate::traces::part::user_ref;

/// Whoever tries again does so within this time; later success says little of this failure.
const WATCHED_FOR: Duration = Duration::days(3);
/// Tickets looked at in a sweep, those that waited longest first; each costs a query or two of a millisecond.
const SWEPT_TICKETS: i64 = 200;
/// Parts of one user read in a look; a program that uses the product all the time has many, and the next look goes on.
const PARTS_A_LOOK: i64 = 200;
/// Traces of a look whose other parts are read.
const CHECKED_TRACES: usize = 5;
/// A trace counts when its parts had this long to arrive: the one that failed may be the last.
const SETTLED_AFTER: Duration = Duration::seconds(30);
/// Parts that arrive later than this after they ran are not looked for again.
const LATEST_ARRIVAL: Duration = Duration::minutes(15);
/// Clocks of products run ahead of ours at most this much.
const EARLIEST_ARRIVAL: Duration = Duration::hours(1);

/// A ticket whose failure may have passed.
#[derive(Debug)]
struct Watched {
    ticket_id: Uuid,
    trace_id: Uuid,
    /// When the look begins: at the failure, or where the last look ended.
    after: DateTime<Utc>,
    email: Option<String>,
    user_ref: Option<String>,
    root_name: Option<String>,
    page_path: Option<String>,
}

/// A part of a later trace of the same user.
#[derive(Debug)]
struct LaterPart {
    trace_id: Uuid,
    started_at: DateTime<Utc>,
    root_name: Option<String>,
    page_path: Option<String>,
    has_failed: bool,
}

/// The same operation, and where its name does not tell one route from another, on the same page.
fn is_same_route(watched: &Watched, part: &LaterPart) -> bool {
    let same = |left: &Option<String>, right: &Option<String>| left.is_some() && left == right;
    let same_page = same(&watched.page_path, &part.page_path);
    match (&watched.root_name, &part.root_name) {
        (Some(watched), Some(part)) => watched == part && (same_page || names_route(part)),
        _ => same_page,
    }
}

/// `POST /api/chats/{id}` and `answer question` do; `POST` alone does not.
fn names_route(root_name: &str) -> bool {
    root_name.contains(['/', ' ', '.'])
}

impl Resolver {
    /// Looks for tickets whose failure has passed.
    ///
    /// # Errors
    /// [`ResolveError`]; the next sweep goes on.
    pub async fn sweep_recoveries(&self) -> Result<(), ResolveError> {
        let mut conn = self.acquire().await?;
        let now = self.now();
        for watched in watched(&mut conn, now - WATCHED_FOR).await? {
            look(&mut conn, &watched, now).await?;
        }
        Ok(())
    }
}

async fn look(
    conn: &mut PgConnection,
    watched: &Watched,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    // Whom the failed trace names; a product that names its users by address may leave it out where it fails.
    let by_address = || watched.email.as_deref().map(user_ref);
    let Some(user) = watched.user_ref.clone().or_else(by_address) else {
        return note_looked(conn, watched, now).await;
    };
    let parts = later_parts(&mut *conn, &user, watched.after, now).await?;
    let fits = |part: &&LaterPart| {
        !part.has_failed && part.trace_id != watched.trace_id && is_same_route(watched, part)
    };
    for part in parts.iter().filter(fits).take(CHECKED_TRACES) {
        if !has_failed(&mut *conn, part.trace_id).await? {
            return mark_recovered(conn, watched, part, now).await;
        }
    }
    let is_full = i64::try_from(parts.len()).is_ok_and(|count| count == PARTS_A_LOOK);
    let until = match parts.last().filter(|_| is_full) {
        Some(last) => last.started_at,
        None => now - LATEST_ARRIVAL,
    };
    note_looked(conn, watched, until.max(watched.after)).await
}

async fn watched(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Vec<Watched>, sqlx::Error> {
    query_as!(
        Watched,
        r#"SELECT ticket_id, links.trace_id AS "trace_id!", coalesce(recovery_seen_until, failed_at) AS "after!", email,
                  failed.user_ref, failed.root_name, failed.page_path
           FROM links JOIN tickets ON tickets.id = ticket_id
           CROSS JOIN LATERAL (
             SELECT min(user_ref) AS user_ref, min(root_name) AS root_name,
                    (array_agg(page_path ORDER BY started_at) FILTER (WHERE page_path IS NOT NULL))[1] AS page_path
             FROM pinned_parts WHERE pinned_parts.trace_id = links.trace_id
           ) AS failed
           WHERE state = 'linked' AND failure_class IS NOT NULL AND recovered_at IS NULL AND failed_at > $1
             AND tickets.status IN ('open', 'pending')
           ORDER BY recovery_seen_until NULLS FIRST LIMIT $2"#,
        since,
        SWEPT_TICKETS,
    )
    .fetch_all(conn)
    .await
}

async fn later_parts(
    conn: &mut PgConnection,
    user: &str,
    after: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<LaterPart>, sqlx::Error> {
    query_as!(
        LaterPart,
        r#"SELECT trace_id, started_at, root_name, page_path,
                  failure_class IS NOT NULL OR coalesce(http_status, 0) >= 400 AS "has_failed!"
           FROM trace_parts
           WHERE user_ref = $1 AND started_at > $2 AND received_at BETWEEN $3 AND $4
           ORDER BY started_at LIMIT $5"#,
        user,
        after,
        after - EARLIEST_ARRIVAL,
        now - SETTLED_AFTER,
        PARTS_A_LOOK,
    )
    .fetch_all(conn)
    .await
}

/// Whether any part of a trace shows a failure.
async fn has_failed(conn: &mut PgConnection, trace_id: Uuid) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (
             SELECT 1 FROM trace_parts WHERE trace_id = $1 AND (failure_class IS NOT NULL OR http_status >= 400)
           ) AS "has_failed!""#,
        trace_id,
    )
    .fetch_one(conn)
    .await
}

async fn mark_recovered(
    conn: &mut PgConnection,
    watched: &Watched,
    part: &LaterPart,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    let marked = query!(
        "UPDATE links SET recovered_at = $3, recovered_trace_id = $4
         WHERE ticket_id = $1 AND trace_id = $2 AND recovered_at IS NULL",
        watched.ticket_id,
        watched.trace_id,
        part.started_at,
        part.trace_id,
    )
    .execute(&mut *tx)
    .await?;
    if marked.rows_affected() == 1 {
        let detail = TraceId::from_uuid(part.trace_id).map(|id| id.to_string());
        let kind = TicketEventKind::Recovered;
        event::append(
            &mut tx,
            &[watched.ticket_id],
            kind,
            None,
            detail.as_deref(),
            now,
        )
        .await?;
    }
    tx.commit().await
}

async fn note_looked(
    conn: &mut PgConnection,
    watched: &Watched,
    until: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE links SET recovery_seen_until = $3 WHERE ticket_id = $1 AND trace_id = $2",
        watched.ticket_id,
        watched.trace_id,
        until,
    )
    .execute(conn)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(failed: (&str, &str), later: (&str, &str)) -> bool {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let watched = Watched {
            ticket_id: Uuid::nil(),
            trace_id: Uuid::nil(),
            after: DateTime::UNIX_EPOCH,
            email: None,
            user_ref: None,
            root_name: text(failed.0),
            page_path: text(failed.1),
        };
        let part = LaterPart {
            trace_id: Uuid::max(),
            started_at: DateTime::UNIX_EPOCH,
            root_name: text(later.0),
            page_path: text(later.1),
            has_failed: false,
        };
        is_same_route(&watched, &part)
    }

    #[test]
    fn the_route_is_the_operation_or_the_page() {
        let chat = ("POST /api/chats/{id}/messages", "/api/chats/7/messages");
        // Another chat is the same route.
        assert!(is_same(chat, (chat.0, "/api/chats/8/messages")));
        assert!(is_same(chat, ("", chat.1)));
        assert!(is_same(("POST", "/upload"), ("POST", "/upload")));
        // Looking at a document is not uploading it.
        assert!(!is_same(
            ("POST /docs/{id}", "/docs/7"),
            ("GET /docs/{id}", "/docs/7")
        ));
        // A method alone names no route.
        assert!(!is_same(("POST", "/upload"), ("POST", "/chat")));
        assert!(!is_same(("", ""), ("", "")));
    }
}
