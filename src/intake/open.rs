//! From a report to a ticket: one transaction with all that follows from it, then the look for its trace.

use chrono::{DateTime, Duration, Utc};
use sqlx::{Connection, PgConnection, query, query_scalar};
use uuid::Uuid;

use super::new_rows::{NewLink, NewMails};
use super::report::{Report, ReportKind};
use crate::clock::new_id;
use crate::http::error::Problem;
use crate::links::state::{LinkOrigin, LinkState};
use crate::links::store::Link;
use crate::outbox::store::MailKind;
use crate::state::AppState;
use crate::tickets::recovery::RecoveryStep;
use crate::tickets::reference::Reference;
use crate::tickets::spam::{self, SpamSign};
use crate::tickets::status::TicketStatus;
use crate::token::Token;

/// References tried before giving up: with a million tickets a taken one comes once in a thousand.
const REFERENCE_TRIES: usize = 4;
/// First answers are replayed for this long.
pub const IDEMPOTENCY_HOURS: i64 = 24;

/// Through which door a report came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "report_source", rename_all = "snake_case")]
pub enum ReportSource {
    /// The public form.
    Form,
    /// The API.
    Api,
}

/// Where a report comes from, and what came with it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Through which door.
    pub source: ReportSource,
    /// Whose key sent it.
    pub account_id: Option<Uuid>,
    /// Under which its screenshots are kept until now.
    pub draft_hash: Option<[u8; 32]>,
    /// Why it is spam; empty when it is none.
    pub spam_signs: Vec<SpamSign>,
    /// BCP 47 tag of the language in which its reporter is answered.
    pub language: String,
    /// What did not help.
    pub tried: Vec<RecoveryStep>,
}

impl Origin {
    fn status(&self) -> TicketStatus {
        if self.spam_signs.is_empty() {
            TicketStatus::Open
        } else {
            TicketStatus::Spam
        }
    }
}

/// A request that may be repeated.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key space.
    pub api_key_id: Uuid,
    /// The header's value.
    pub key: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
}

/// A ticket that was just opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its ID.
    pub id: Uuid,
    /// Its short name.
    pub reference: Reference,
    /// The secret of the reporter's link.
    pub token: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// An answer given before to the same request.
#[derive(Debug, Clone)]
pub struct FirstAnswer {
    /// The status.
    pub status: i16,
    /// `Location`.
    pub location: String,
    /// The body.
    pub body: String,
    /// The body it answered.
    pub fingerprint: Vec<u8>,
}

/// Opens a ticket; it is committed when this returns.
///
/// # Errors
/// The database's.
#[tracing::instrument(name = "open ticket", skip_all)]
pub async fn open_ticket(
    state: &AppState,
    report: &Report,
    origin: &Origin,
) -> Result<Opened, Problem> {
    let mut conn = state.pool.acquire().await?;
    let opened = insert(state, &mut conn, report, origin).await?;
    state.outbox_wake.notify_one();
    Ok(opened)
}

/// Looks for the ticket's trace, after the commit: for the one that was stated at once, for one that fits after the
/// answer. A look that fails is the sweep's to repeat: the ticket stands.
pub async fn look_for_trace(state: &AppState, report: &Report, opened: &Opened) -> Option<Link> {
    if report.trace().is_none() {
        state.resolver.suggest_later(opened.id);
        return None;
    }
    let looked = state.resolver.ticket_opened(opened.id).await;
    looked
        .inspect_err(|error| tracing::warn!(error = %error, "A new ticket's trace could not be looked for yet"))
        .unwrap_or_default()
}

/// What becomes of a request with an `Idempotency-Key`.
#[derive(Debug)]
pub enum Idempotent {
    /// It ran now.
    Opened(Opened),
    /// It ran before.
    Replayed(FirstAnswer),
    /// It is running on another connection.
    Running,
}

/// Opens a ticket unless this key opened one before. The lock ends with the transaction, so that an attempt that
/// was killed can be repeated at once.
///
/// # Errors
/// The database's.
#[tracing::instrument(name = "open ticket", skip_all)]
pub async fn open_ticket_once(
    state: &AppState,
    report: &Report,
    origin: &Origin,
    request: &Idempotency,
    answer: impl FnOnce(&Opened) -> (String, String),
) -> Result<Idempotent, Problem> {
    let mut conn = state.pool.acquire().await?;
    let mut tx = conn.begin().await?;
    let lock_name = format!("{}/{}", request.api_key_id, request.key);
    let is_free = query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "free!""#,
        lock_name
    )
    .fetch_one(&mut *tx)
    .await?;
    if !is_free {
        return Ok(Idempotent::Running);
    }
    if let Some(first) = first_answer(&mut tx, request, state.clock.now()).await? {
        return Ok(Idempotent::Replayed(first));
    }
    let opened = insert(state, &mut tx, report, origin).await?;
    let (location, body) = answer(&opened);
    query!(
        "INSERT INTO idempotency_keys (api_key_id, key, fingerprint, status, location, body, created_at)
         VALUES ($1, $2, $3, 201, $4, $5, $6)
         ON CONFLICT (api_key_id, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint,
             location = EXCLUDED.location, body = EXCLUDED.body, created_at = EXCLUDED.created_at",
        request.api_key_id,
        request.key,
        &request.fingerprint[..],
        location,
        body,
        opened.created_at,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    state.outbox_wake.notify_one();
    Ok(Idempotent::Opened(opened))
}

/// Replaces a stored first answer by the one that was really given.
///
/// # Errors
/// The database's.
pub async fn keep_answer(
    state: &AppState,
    request: &Idempotency,
    body: &str,
) -> Result<(), sqlx::Error> {
    query!(
        "UPDATE idempotency_keys SET body = $3 WHERE api_key_id = $1 AND key = $2 AND body <> $3",
        request.api_key_id,
        request.key,
        body,
    )
    .execute(&state.pool)
    .await
    .map(drop)
}

async fn first_answer(
    conn: &mut PgConnection,
    request: &Idempotency,
    now: DateTime<Utc>,
) -> Result<Option<FirstAnswer>, sqlx::Error> {
    sqlx::query_as!(
        FirstAnswer,
        "SELECT status, location, body, fingerprint FROM idempotency_keys
         WHERE api_key_id = $1 AND key = $2 AND created_at > $3",
        request.api_key_id,
        request.key,
        now - Duration::hours(IDEMPOTENCY_HOURS),
    )
    .fetch_optional(conn)
    .await
}

async fn insert(
    state: &AppState,
    conn: &mut PgConnection,
    report: &Report,
    origin: &Origin,
) -> Result<Opened, Problem> {
    for _ in 0..REFERENCE_TRIES {
        let token = Token::generate();
        let opened = Opened {
            id: new_id(),
            reference: Reference::generate(),
            created_at: state.clock.now(),
            token: token.text.clone(),
        };
        if insert_rows(state, &mut *conn, report, origin, &opened, token.hash).await? {
            return Ok(opened);
        }
    }
    Err(Problem::internal("no free ticket reference was found"))
}

/// One statement for ticket, link, history and mails: half the time of five. `false` when the reference is taken.
async fn insert_rows(
    state: &AppState,
    conn: &mut PgConnection,
    report: &Report,
    origin: &Origin,
    opened: &Opened,
    token_hash: [u8; 32],
) -> Result<bool, sqlx::Error> {
    let link = NewLink::of(report, opened.created_at);
    let status = origin.status();
    let mails = NewMails::of(state, report, status);
    let inserted = query_scalar!(
        r#"WITH ticket AS (
               INSERT INTO tickets (id, reference, token_hash, status, created_at, updated_at, source, account_id,
                   kind, action, page_url, page_path, occurred_at, email, spam_signs, language, tried)
               VALUES ($1, $2, $3, $27, $4, $4, $5, $6, $7, $8, $9, $10, $11, $12, $28, $31, $32)
               ON CONFLICT (reference) DO NOTHING
               RETURNING id
           ), link AS (
               INSERT INTO links (ticket_id, state, origin, trace_id, other_ids, span_id, typed, waiting_until)
               SELECT id, $13, $14, $15, $16, $17, $18, $19 FROM ticket
           ), event AS (
               INSERT INTO ticket_events (id, ticket_id, kind, detail, created_at)
               SELECT $20::uuid, id, 'opened'::ticket_event_kind, NULL, $4 FROM ticket
               UNION ALL SELECT $29, id, 'marked_spam', $30, $4 FROM ticket WHERE $27 = 'spam'
           ), mails AS (
               INSERT INTO outbox (id, ticket_id, kind, recipient, message_id, state, due_at, awaits_trace, created_at)
               SELECT mail.id, ticket.id, mail.kind, mail.recipient, mail.message_id, 'queued',
                      now() + make_interval(secs => $24), true, $4
               FROM ticket, unnest($21::uuid[], $22::text[], $23::text[], $26::mail_kind[])
                    AS mail (id, recipient, message_id, kind)
           ), files AS (
               UPDATE attachments SET ticket_id = ticket.id, draft_hash = NULL FROM ticket WHERE draft_hash = $25
           )
           SELECT count(*) AS "count!" FROM ticket"#,
        opened.id,
        opened.reference.as_str(),
        &token_hash[..],
        opened.created_at,
        origin.source as ReportSource,
        origin.account_id,
        report.kind() as ReportKind,
        report.action(),
        report.page_url().as_str(),
        report.page_url().path(),
        report.occurred_at(),
        report.email(),
        link.state as LinkState,
        LinkOrigin::Stated as LinkOrigin,
        link.trace_id,
        &link.other_ids,
        link.span_id,
        link.typed,
        link.waiting_until,
        new_id(),
        &mails.ids,
        &mails.recipients,
        &mails.message_ids,
        state.config.link_grace.as_secs_f64(),
        origin.draft_hash.as_ref().map(|hash| &hash[..]),
        &mails.kinds as &[MailKind],
        status as TicketStatus,
        &origin.spam_signs as &[SpamSign],
        new_id(),
        spam::in_words(&origin.spam_signs),
        origin.language,
        &origin.tried as &[RecoveryStep],
    )
    .fetch_one(conn)
    .await?;
    Ok(inserted == 1)
}
