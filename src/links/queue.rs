//! The SQL of the desk's queue: its views, and how many tickets each has.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::state::LinkState;
use super::tickets::LISTED_ACTION_CHARS;
use crate::tickets::spam::SpamSign;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;

/// A view of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Staff's turn.
    Open,
    /// Mine, and not closed.
    Mine,
    /// Staff's turn, and nobody's.
    Unassigned,
    /// The reporter's turn.
    Pending,
    /// Closed.
    Solved,
    /// Judged spam.
    Spam,
    /// All of them.
    All,
}

impl View {
    /// All of them, in the order of the tabs.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Mine,
        Self::Unassigned,
        Self::Pending,
        Self::Solved,
        Self::Spam,
        Self::All,
    ];

    /// Reads the name in an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.as_str() == text)
    }

    /// The name in addresses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Mine => "mine",
            Self::Unassigned => "unassigned",
            Self::Pending => "pending",
            Self::Solved => "solved",
            Self::Spam => "spam",
            Self::All => "all",
        }
    }

    fn status(self) -> Option<TicketStatus> {
        match self {
            Self::Open => Some(TicketStatus::Open),
            Self::Pending => Some(TicketStatus::Pending),
            Self::Solved => Some(TicketStatus::Solved),
            Self::Spam => Some(TicketStatus::Spam),
            Self::Mine | Self::Unassigned | Self::All => None,
        }
    }
}

/// A ticket of the queue.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns, documented in migrations/0003_tickets.sql, 0004_links.sql, 0011_guard.sql, 0013_conversation.sql and \
              0015_recovery.sql"
)]
pub struct QueueTicket {
    pub id: Uuid,
    pub reference: String,
    pub status: TicketStatus,
    pub created_at: DateTime<Utc>,
    pub action: String,
    pub page_url: String,
    pub occurred_at: DateTime<Utc>,
    pub assignee: Option<String>,
    pub link_state: LinkState,
    pub failure_class: Option<FailureClass>,
    pub failing_service: Option<String>,
    pub recovered_at: Option<DateTime<Utc>>,
    pub spam_signs: Vec<SpamSign>,
}

/// Tickets of a view newest first, those before a cursor.
///
/// # Errors
/// The database's.
#[tracing::instrument(name = "list queue", skip_all)]
pub async fn list(
    conn: &mut PgConnection,
    view: View,
    staff_id: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<QueueTicket>, sqlx::Error> {
    // No ticket is younger than this, so it stands for "from the start".
    let (created_at, id) =
        before.unwrap_or((DateTime::<Utc>::from_timestamp_nanos(i64::MAX), Uuid::max()));
    query_as!(
        QueueTicket,
        // An arm a view, each with its index; those of other views are not run.
        r#"WITH page AS (
             (SELECT id FROM tickets WHERE $1 = 'by status' AND status = $2 AND (created_at, id) < ($4, $5)
              ORDER BY created_at DESC, id DESC LIMIT $6)
             UNION ALL
             (SELECT id FROM tickets WHERE $1 = 'mine' AND assignee_id = $3 AND status IN ('open', 'pending')
                AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $6)
             UNION ALL
             (SELECT id FROM tickets WHERE $1 = 'unassigned' AND assignee_id IS NULL AND status = 'open'
                AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $6)
             UNION ALL
             (SELECT id FROM tickets WHERE $1 = 'all' AND (created_at, id) < ($4, $5)
              ORDER BY created_at DESC, id DESC LIMIT $6)
           )
           SELECT t.id, t.reference, t.status AS "status: TicketStatus", t.created_at, left(t.action, $7) AS "action!",
                  t.page_url, t.occurred_at, staff.email AS "assignee?", l.state AS "link_state: LinkState",
                  l.failure_class AS "failure_class: FailureClass", l.failing_service, l.recovered_at,
                  t.spam_signs AS "spam_signs: Vec<SpamSign>"
           FROM page JOIN tickets AS t ON t.id = page.id JOIN links AS l ON l.ticket_id = t.id
                LEFT JOIN staff ON staff.id = t.assignee_id
           ORDER BY t.created_at DESC, t.id DESC"#,
        view.status().map_or_else(|| view.as_str(), |_| "by status"),
        view.status() as Option<TicketStatus>,
        staff_id,
        created_at,
        id,
        limit,
        LISTED_ACTION_CHARS,
    )
    .fetch_all(conn)
    .await
}

/// A view is counted up to here: more is "many" to a person, and counting further costs.
pub const COUNTED_UP_TO: i64 = 1_000;

/// How many tickets views have, each up to [`COUNTED_UP_TO`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// [`View::Open`].
    pub open: i64,
    /// [`View::Mine`].
    pub mine: i64,
    /// [`View::Unassigned`].
    pub unassigned: i64,
    /// [`View::Pending`].
    pub pending: i64,
    /// [`View::Solved`].
    pub solved: i64,
}

impl Counts {
    /// Of one view, if it is counted.
    #[must_use]
    pub fn of(&self, view: View) -> Option<i64> {
        match view {
            View::Open => Some(self.open),
            View::Mine => Some(self.mine),
            View::Unassigned => Some(self.unassigned),
            View::Pending => Some(self.pending),
            View::Solved => Some(self.solved),
            View::Spam | View::All => None,
        }
    }
}

/// How many tickets the views of one member of staff have.
///
/// # Errors
/// The database's.
#[tracing::instrument(name = "count queue", skip_all)]
pub async fn counts(conn: &mut PgConnection, staff_id: Uuid) -> Result<Counts, sqlx::Error> {
    query_as!(
        Counts,
        r#"SELECT
             (SELECT count(*) FROM (SELECT FROM tickets WHERE status = 'open' LIMIT $2) AS t) AS "open!",
             (SELECT count(*) FROM (SELECT FROM tickets WHERE assignee_id = $1 AND status IN ('open', 'pending') LIMIT $2)
              AS t) AS "mine!",
             (SELECT count(*) FROM (SELECT FROM tickets WHERE status = 'open' AND assignee_id IS NULL LIMIT $2) AS t)
              AS "unassigned!",
             (SELECT count(*) FROM (SELECT FROM tickets WHERE status = 'pending' LIMIT $2) AS t) AS "pending!",
             (SELECT count(*) FROM (SELECT FROM tickets WHERE status = 'solved' LIMIT $2) AS t) AS "solved!""#,
        staff_id,
        COUNTED_UP_TO,
    )
    .fetch_one(conn)
    .await
}
