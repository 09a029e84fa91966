//! The SQL of what helped.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{Connection as _, PgConnection, query, query_as};

use super::answer::{HelpAnswer, Vote};
use crate::clock::new_id;
use crate::tickets::kind::ReportKind;
use crate::tickets::message::clean_text;
use crate::tickets::recovery::RecoveryStep;

/// Longest line that comes with a vote, in characters.
pub const MAX_NOTE_CHARS: usize = 300;
/// Lines that are kept, the newest: at 300 characters of 4 bytes, 2.4 MB.
const MAX_NOTES: i64 = 2_000;
/// Lines on the page.
const SHOWN_NOTES: i64 = 50;

/// Counts a move that fixed it.
///
/// # Errors
/// The database's.
pub async fn count_recovery(
    conn: &mut PgConnection,
    day: NaiveDate,
    kind: ReportKind,
    step: RecoveryStep,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO recoveries (day, kind, step, count) VALUES ($1, $2, $3, 1)
         ON CONFLICT (day, kind, step) DO UPDATE SET count = recoveries.count + 1",
        day,
        kind as ReportKind,
        step as RecoveryStep,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Counts a vote.
///
/// # Errors
/// The database's.
pub async fn count_vote(
    conn: &mut PgConnection,
    day: NaiveDate,
    vote: Vote,
) -> Result<(), sqlx::Error> {
    query!(
        "INSERT INTO answer_votes (day, answer, is_helpful, count) VALUES ($1, $2, $3, 1)
         ON CONFLICT (day, answer, is_helpful) DO UPDATE SET count = answer_votes.count + 1",
        day,
        vote.answer as HelpAnswer,
        vote.is_helpful,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Keeps the line that comes with a vote, as one line and cut to [`MAX_NOTE_CHARS`]; `false` when it says nothing.
///
/// # Errors
/// The database's.
pub async fn keep_note(
    conn: &mut PgConnection,
    vote: Vote,
    typed: &str,
    language: &str,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let text = clean_text(typed);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return Ok(false);
    }
    let note: String = line.chars().take(MAX_NOTE_CHARS).collect();
    let mut tx = conn.begin().await?;
    query!(
        "INSERT INTO answer_notes (id, answer, is_helpful, note, language, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        new_id(),
        vote.answer as HelpAnswer,
        vote.is_helpful,
        note,
        language,
        now,
    )
    .execute(&mut *tx)
    .await?;
    query!(
        "DELETE FROM answer_notes WHERE id <= (SELECT id FROM answer_notes ORDER BY id DESC OFFSET $1 LIMIT 1)",
        MAX_NOTES,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Counts of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCounts {
    /// In UTC.
    pub day: NaiveDate,
    /// Fixed by a retry.
    pub retried: i64,
    /// Fixed by another model.
    pub switched: i64,
    /// Solved by the advice for a trace.
    pub advised: i64,
    /// Answers that were helpful.
    pub helpful: i64,
    /// Answers that were not.
    pub unhelpful: i64,
}

/// Each day from `since` to `today`, also those of nothing.
///
/// # Errors
/// The database's.
pub async fn by_day(
    conn: &mut PgConnection,
    since: NaiveDate,
    today: NaiveDate,
) -> Result<Vec<DayCounts>, sqlx::Error> {
    query_as!(
        DayCounts,
        r#"SELECT days.day AS "day!", r.retried AS "retried!", r.switched AS "switched!", s.advised AS "advised!",
                  v.helpful AS "helpful!", v.unhelpful AS "unhelpful!"
           FROM (SELECT generate_series($1::date, $2::date, interval '1 day')::date AS day) AS days
           CROSS JOIN LATERAL (
               SELECT coalesce(sum(count) FILTER (WHERE step = 'retry'), 0) AS retried,
                      coalesce(sum(count) FILTER (WHERE step = 'switch'), 0) AS switched
               FROM recoveries WHERE recoveries.day = days.day) AS r
           CROSS JOIN LATERAL (
               SELECT coalesce(sum(count), 0) AS advised
               FROM solved_answers WHERE solved_answers.day = days.day) AS s
           CROSS JOIN LATERAL (
               SELECT coalesce(sum(count) FILTER (WHERE is_helpful), 0) AS helpful,
                      coalesce(sum(count) FILTER (WHERE NOT is_helpful), 0) AS unhelpful
               FROM answer_votes WHERE answer_votes.day = days.day) AS v
           ORDER BY days.day"#,
        since,
        today,
    )
    .fetch_all(conn)
    .await
}

/// Votes on one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerCounts {
    /// Which.
    pub answer: HelpAnswer,
    /// How often it was helpful.
    pub helpful: i64,
    /// How often it was not.
    pub unhelpful: i64,
}

/// Votes since, by answer, those first that helped least often.
///
/// # Errors
/// The database's.
pub async fn by_answer(
    conn: &mut PgConnection,
    since: NaiveDate,
) -> Result<Vec<AnswerCounts>, sqlx::Error> {
    query_as!(
        AnswerCounts,
        r#"SELECT answer AS "answer: HelpAnswer",
                  coalesce(sum(count) FILTER (WHERE is_helpful), 0) AS "helpful!",
                  coalesce(sum(count) FILTER (WHERE NOT is_helpful), 0) AS "unhelpful!"
           FROM answer_votes WHERE day >= $1 GROUP BY answer
           ORDER BY coalesce(sum(count) FILTER (WHERE is_helpful), 0)::numeric / sum(count), answer"#,
        since,
    )
    .fetch_all(conn)
    .await
}

/// What fixed what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryCounts {
    /// What had failed.
    pub kind: ReportKind,
    /// How often a retry fixed it.
    pub retried: i64,
    /// How often another model did.
    pub switched: i64,
}

/// "That fixed it" since, by what had failed, most first.
///
/// # Errors
/// The database's.
pub async fn by_kind(
    conn: &mut PgConnection,
    since: NaiveDate,
) -> Result<Vec<RecoveryCounts>, sqlx::Error> {
    query_as!(
        RecoveryCounts,
        r#"SELECT kind AS "kind: ReportKind",
                  coalesce(sum(count) FILTER (WHERE step = 'retry'), 0) AS "retried!",
                  coalesce(sum(count) FILTER (WHERE step = 'switch'), 0) AS "switched!"
           FROM recoveries WHERE day >= $1 GROUP BY kind ORDER BY sum(count) DESC"#,
        since,
    )
    .fetch_all(conn)
    .await
}

/// A line that came with a vote.
#[derive(Debug, Clone)]
pub struct Note {
    /// To which answer.
    pub answer: HelpAnswer,
    /// Whether that was helpful.
    pub is_helpful: bool,
    /// The line.
    pub note: String,
    /// BCP 47 tag of the page that it was written on.
    pub language: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The newest lines, newest first.
///
/// # Errors
/// The database's.
pub async fn notes(conn: &mut PgConnection) -> Result<Vec<Note>, sqlx::Error> {
    query_as!(
        Note,
        r#"SELECT answer AS "answer: HelpAnswer", is_helpful, note, language, created_at
           FROM answer_notes ORDER BY id DESC LIMIT $1"#,
        SHOWN_NOTES,
    )
    .fetch_all(conn)
    .await
}
