//! How many mails one reporter's address gets in an hour. What is over waits for a place and is shown as held; what got
//! none within a day fails with that reason. Whoever sends reports in another's name, or a program that answers our
//! mails with reports, ends here.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, PgConnection};

use super::store::{self, Claimed, MailKind};

/// Mails an hour to one address that anybody can cause, by a report or by asking for lost links.
pub const MAX_ASKED_AN_HOUR: i64 = 10;
/// Mails an hour to one address that staff cause. Apart from the others, so that nobody keeps answers away from somebody
/// by sending reports in their name; a conversation has fewer.
pub const MAX_ANSWERS_AN_HOUR: i64 = 30;
/// A mail that got no place for so long is given up: at ten an hour, 240 others went to the same address.
const HELD_AT_MOST: TimeDelta = TimeDelta::days(1);
/// Mails that wait for the same place ask for it at least this much apart.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// What stands in Desk > Mail while a mail is held.
pub const HELD: &str = "Held: as many mails as one address gets in an hour went to this one. It goes when the hour is over.";
/// What stands there when it was given up.
const GIVEN_UP: &str = "Not sent: for a day, as many mails as one address gets in an hour went to this one. \
                        Send it again when that is over.";

/// Whether a mail may go out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It has a place, or needs none.
    Granted,
    /// It is held, or was given up.
    Refused,
    /// The lease ended on the way.
    LeaseLost,
}

fn group_of(kind: MailKind) -> Option<(&'static [MailKind], i64)> {
    match kind {
        MailKind::StaffNotice | MailKind::ReplyNotice => None,
        MailKind::ReportReceived | MailKind::LostLinks => Some((
            &[MailKind::ReportReceived, MailKind::LostLinks],
            MAX_ASKED_AN_HOUR,
        )),
        MailKind::Answered | MailKind::Solved => {
            Some((&[MailKind::Answered, MailKind::Solved], MAX_ANSWERS_AN_HOUR))
        }
    }
}

/// Takes one of the recipient's places of the hour for a claimed mail, or holds it until one is free. One address at a
/// time, so that never more places are taken than there are, on however many nodes.
///
/// # Errors
/// When the database can't be reached.
pub async fn admit(
    conn: &mut PgConnection,
    mail: &Claimed,
    now: DateTime<Utc>,
) -> Result<Admission, sqlx::Error> {
    let Some((group, places)) = group_of(mail.kind) else {
        return Ok(Admission::Granted);
    };
    let mut tx = conn.begin().await?;
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('mails to ' || lower($1), 0))",
        mail.recipient
    )
    .fetch_one(&mut *tx)
    .await?;
    let taken = sqlx::query!(
        r#"SELECT count(*) AS "count!",
                  extract(epoch FROM min(admitted_at) + interval '1 hour' - now())::float8 AS wait
           FROM outbox
           WHERE lower(recipient) = lower($1) AND admitted_at > now() - interval '1 hour' AND kind = ANY ($2) AND id <> $3"#,
        mail.recipient,
        group as &[MailKind],
        mail.id,
    )
    .fetch_one(&mut *tx)
    .await?;
    let admission = if taken.count < places {
        let done = sqlx::query!(
            "UPDATE outbox SET admitted_at = now() WHERE id = $1 AND lease_id = $2",
            mail.id,
            mail.lease_id,
        )
        .execute(&mut *tx)
        .await?;
        match done.rows_affected() {
            1 => Admission::Granted,
            _ => Admission::LeaseLost,
        }
    } else if now - mail.created_at > HELD_AT_MOST {
        store::finish_failed(&mut tx, mail, GIVEN_UP, now).await?;
        Admission::Refused
    } else {
        let wait = taken.wait.unwrap_or_default().max(ASK_AGAIN.as_secs_f64());
        store::hold(&mut tx, mail, HELD, Duration::from_secs_f64(wait)).await?;
        Admission::Refused
    };
    tx.commit().await?;
    Ok(admission)
}
