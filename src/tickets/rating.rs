//! What reporters think of answers: kept with the answer, and counted by day.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::event::{self, TicketEventKind};
use super::message::clean_text;
use crate::content::Words;

/// Longest line that goes with a rating, in characters.
pub const MAX_LINE_CHARS: usize = 500;

/// Why a rating is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RatingError {
    /// It says neither yes nor no.
    NotChosen,
    /// Its line has so many characters.
    TooLong(usize),
}

impl RatingError {
    /// In a sentence for the reporter.
    #[must_use]
    pub fn in_words(self, words: &Words) -> String {
        let errors = &words.errors;
        match self {
            Self::NotChosen => errors.rating_choose.clone(),
            Self::TooLong(count) => errors
                .message_long
                .fill(&[("count", &count), ("most", &MAX_LINE_CHARS)]),
        }
    }
}

/// A reporter's judgement of an answer.
#[derive(Debug, Clone)]
pub struct Rating {
    /// Whether it helped.
    pub is_helpful: bool,
    /// What they added.
    pub line: Option<String>,
}

impl Rating {
    /// Reads a rating; the line may be empty.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(is_helpful: &str, line: &str) -> Result<Self, RatingError> {
        let is_helpful = match is_helpful {
            "yes" => true,
            "no" => false,
            _ => return Err(RatingError::NotChosen),
        };
        let line = clean_text(line).replace('\n', " ");
        let count = line.chars().count();
        if count > MAX_LINE_CHARS {
            return Err(RatingError::TooLong(count));
        }
        Ok(Self {
            is_helpful,
            line: Some(line).filter(|line| !line.is_empty()),
        })
    }
}

/// Keeps the rating of the latest answer of staff, instead of an earlier one of the same answer. To be called in a
/// transaction. `false` if `message_id` is no answer of this ticket.
///
/// # Errors
/// The database's.
pub async fn rate(
    tx: &mut PgConnection,
    ticket_id: Uuid,
    message_id: Uuid,
    rating: &Rating,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    // The ticket's lock, so that two ratings at once are counted one after the other.
    let is_answer = query_scalar!(
        r#"SELECT EXISTS (
             SELECT 1 FROM messages
             WHERE messages.id = $2 AND ticket_id = $1 AND author = 'staff' AND NOT is_internal
           ) AS "is_answer!" FROM tickets WHERE id = $1 FOR UPDATE"#,
        ticket_id,
        message_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if is_answer != Some(true) {
        return Ok(false);
    }
    let earlier = query!(
        "SELECT is_helpful, rated_at FROM answer_ratings WHERE message_id = $1",
        message_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    query!(
        "INSERT INTO answer_ratings (message_id, is_helpful, line, rated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (message_id) DO UPDATE SET is_helpful = EXCLUDED.is_helpful, line = EXCLUDED.line,
             rated_at = EXCLUDED.rated_at",
        message_id,
        rating.is_helpful,
        rating.line,
        now,
    )
    .execute(&mut *tx)
    .await?;
    if let Some(earlier) = &earlier {
        count(
            &mut *tx,
            earlier.rated_at.date_naive(),
            earlier.is_helpful,
            -1,
        )
        .await?;
    }
    count(&mut *tx, now.date_naive(), rating.is_helpful, 1).await?;
    query!(
        "UPDATE tickets SET updated_at = $2 WHERE id = $1",
        ticket_id,
        now
    )
    .execute(&mut *tx)
    .await?;
    let is_news = earlier.is_none_or(|earlier| earlier.is_helpful != rating.is_helpful);
    if is_news {
        let detail = if rating.is_helpful {
            "helpful"
        } else {
            "not helpful"
        };
        event::append(
            tx,
            &[ticket_id],
            TicketEventKind::Rated,
            None,
            Some(detail),
            now,
        )
        .await?;
    }
    Ok(true)
}

async fn count(
    tx: &mut PgConnection,
    day: NaiveDate,
    is_helpful: bool,
    by: i32,
) -> Result<(), sqlx::Error> {
    let (helpful, not_helpful) = if is_helpful { (by, 0) } else { (0, by) };
    query!(
        "INSERT INTO answer_rating_days (day, helpful, not_helpful) VALUES ($1, $2, $3)
         ON CONFLICT (day) DO UPDATE SET helpful = answer_rating_days.helpful + EXCLUDED.helpful,
             not_helpful = answer_rating_days.not_helpful + EXCLUDED.not_helpful",
        day,
        helpful,
        not_helpful,
    )
    .execute(tx)
    .await
    .map(drop)
}

/// How answers were rated on one day.
#[derive(Debug, Clone)]
pub struct RatedDay {
    /// In UTC.
    pub day: NaiveDate,
    /// How many said yes.
    pub helpful: i32,
    /// How many said no.
    pub not_helpful: i32,
}

/// How answers were rated since, by day, oldest first.
///
/// # Errors
/// The database's.
pub async fn days_since(
    conn: &mut PgConnection,
    day: NaiveDate,
) -> Result<Vec<RatedDay>, sqlx::Error> {
    query_as!(
        RatedDay,
        "SELECT day, helpful, not_helpful FROM answer_rating_days WHERE day >= $1 ORDER BY day",
        day
    )
    .fetch_all(conn)
    .await
}
