//! The worker that sends what the outbox holds: claim, commit, render, send, mark. No transaction is held open over
//! the network, and any number of nodes may work on one outbox.
//!
//! A mail goes out at least once: a worker that dies between the server's yes and the mark leaves a lease that ends,
//! and another sends the mail again under the same `Message-ID` (RFC 1047 says why this can't be exactly once).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use lettre::Message;
use lettre::message::Mailbox;
use sqlx::PgPool;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::admission::{self, Admission};
use super::backoff;
use super::mailer::{CHECK_DEADLINE, Mailer, SEND_DEADLINE, SendError};
use super::message::{BuildError, MailContent, build};
use super::store::{self, Claimed};
use crate::clock::Clock;

/// How many mails one node sends at once.
pub const MAX_CONCURRENT: usize = 8;

/// How often the outbox is looked at without being woken: for mails that become due by themselves or on another node.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long rendering may take; it reads the ticket and its trace.
const RENDER_DEADLINE: Duration = Duration::from_secs(20);

/// How long a claimed mail is ours: rendering 20 s, sending 120 s, asking the server again 20 s, and 20 s to mark it.
const LEASE: Duration = Duration::from_secs(
    RENDER_DEADLINE.as_secs() + SEND_DEADLINE.as_secs() + CHECK_DEADLINE.as_secs() + 20,
);

/// First pause when no server can be reached; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Longest pause: how late mails may start to flow after the server is back.
const MAX_PAUSE: Duration = Duration::from_mins(2);

/// Pause when the database can't be reached.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// How long mails on their way may take when the service stops; the leases of those cut off end by themselves.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Why a mail has no content.
#[derive(Debug, Error)]
pub enum RenderError {
    /// What it is about can't be read.
    #[error("the ticket can't be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A template failed.
    #[error("the mail can't be rendered: {0}")]
    Template(#[from] askama::Error),
    /// What it is about is not there, or can't be understood.
    #[error("{0}")]
    Content(String),
}

/// What a worker needs. `render` makes the content of a claimed mail at the time it is sent, so that the mail has the
/// trace in it: `Fn(Claimed) -> impl Future<Output = Result<MailContent, RenderError>>`.
#[derive(Debug)]
pub struct Delivery<R> {
    /// The database; no connection is held while a mail is on its way.
    pub pool: PgPool,
    /// Where mails go.
    pub mailer: Mailer,
    /// The sender, `TRACEDESK_MAIL_FROM`.
    pub from: Mailbox,
    /// For dates in mails and in the history.
    pub clock: Clock,
    /// Makes a mail's content.
    pub render: R,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was due.
    Idle,
    /// The server took it.
    Sent,
    /// It is tried again later.
    Deferred,
    /// It is not tried again.
    Failed,
    /// Its recipient had as many mails as one address gets in an hour.
    Held,
    /// No server can be reached, for the reason given; the mail is queued as before.
    Unreachable(String),
    /// The lease ended on the way: another worker has the mail, and nothing was marked.
    LeaseLost,
}

impl<R, F> Delivery<R>
where
    R: Fn(Claimed) -> F + Send + Sync + 'static,
    F: Future<Output = Result<MailContent, RenderError>> + Send + 'static,
{
    /// Sends one due mail, if there is one. Tests drain the outbox with it.
    ///
    /// # Errors
    /// When the database can't be reached; the lease then ends by itself.
    pub async fn deliver_once(&self) -> Result<Outcome, sqlx::Error> {
        match self.claim(1).await?.pop() {
            Some(mail) => self.deliver(mail).await,
            None => Ok(Outcome::Idle),
        }
    }

    /// Sends mails until cancelled, looking every second and whenever woken. While no server can be reached, nothing
    /// is claimed, and the server is asked at growing intervals.
    ///
    /// # Errors
    /// When the pool was closed without a cancellation before it.
    pub async fn run(
        self: Arc<Self>,
        wake: Arc<Notify>,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        // Tasks, not futures polled from here: one of those could be handed the pool's last connection and never be
        // polled to give it back, while we wait for a connection ourselves.
        let mut on_their_way = JoinSet::new();
        // Grows until a mail is sent: a server that answers and then refuses us is as good as away.
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                result = self.take_turn(&mut on_their_way, &wake, &mut pause) => result?,
            }
        }
        let rest = async { while on_their_way.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, rest).await.is_err() {
            tracing::warn!(
                "Stopped with mails on their way; they go out again when their leases end"
            );
        }
        Ok(())
    }

    /// Starts as many due mails as there is room for, then waits until there is something to do again.
    async fn take_turn(
        self: &Arc<Self>,
        on_their_way: &mut JoinSet<Result<Outcome, sqlx::Error>>,
        wake: &Notify,
        pause: &mut Duration,
    ) -> anyhow::Result<()> {
        let trouble = match self.claim(MAX_CONCURRENT - on_their_way.len()).await {
            Ok(mails) => {
                for mail in mails {
                    let worker = Arc::clone(self);
                    on_their_way.spawn(async move { worker.deliver(mail).await });
                }
                let is_full = on_their_way.len() == MAX_CONCURRENT;
                tokio::select! {
                    Some(done) = on_their_way.join_next() => {
                        if matches!(done, Ok(Ok(Outcome::Sent))) {
                            *pause = FIRST_PAUSE;
                        }
                        trouble(done)
                    }
                    () = wake.notified(), if !is_full => None,
                    () = tokio::time::sleep(POLL_INTERVAL), if !is_full => None,
                }
            }
            Err(error) => Some(Trouble::Database(error)),
        };
        if let Some(trouble) = trouble {
            self.wait_out(trouble, pause).await?;
            // These ran into the same trouble.
            while on_their_way.try_join_next().is_some() {}
        }
        Ok(())
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, sqlx::Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        store::claim_due(&mut *self.pool.acquire().await?, limit, LEASE).await
    }

    async fn wait_out(&self, trouble: Trouble, pause: &mut Duration) -> anyhow::Result<()> {
        match trouble {
            Trouble::MailServer(reason) => self.wait_for_server(&reason, pause).await,
            Trouble::Database(sqlx::Error::PoolClosed) => {
                anyhow::bail!("the database pool was closed")
            }
            Trouble::Database(error) => {
                tracing::error!(%error, "The outbox can't be read or written; trying again");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
        }
        Ok(())
    }

    async fn wait_for_server(&self, reason: &str, pause: &mut Duration) {
        tracing::warn!(
            reason,
            "Mails can't go out; they are kept until the mail server is back"
        );
        loop {
            // Half to one and a half times as long, so that nodes don't come back together.
            tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
            *pause = (*pause * 2).min(MAX_PAUSE);
            match self.mailer.check().await {
                Ok(()) => break,
                Err(error) => tracing::debug!(%error, "The mail server is still away"),
            }
        }
        tracing::info!("The mail server is back");
    }

    async fn deliver(&self, mail: Claimed) -> Result<Outcome, sqlx::Error> {
        let outcome = match self.admit(&mail).await? {
            Admission::Granted => {
                let result = self.attempt(&mail).await;
                self.settle(&mail, result).await?
            }
            Admission::Refused => Outcome::Held,
            Admission::LeaseLost => Outcome::LeaseLost,
        };
        log(&mail, &outcome);
        Ok(outcome)
    }

    async fn admit(&self, mail: &Claimed) -> Result<Admission, sqlx::Error> {
        let conn = &mut *self.pool.acquire().await?;
        admission::admit(conn, mail, self.clock.now()).await
    }

    async fn attempt(&self, mail: &Claimed) -> Result<String, SendError> {
        // A bug in a template or in lettre must cost this mail a retry, not the service its mails.
        let prepared = AssertUnwindSafe(self.prepare(mail)).catch_unwind().await;
        let message = prepared.unwrap_or_else(|_panic| {
            Err(SendError::Deferred(
                "the mail could not be made; this is a bug in tracedesk".to_owned(),
            ))
        })?;
        self.mailer.send(mail.id, &message).await
    }

    async fn prepare(&self, mail: &Claimed) -> Result<Message, SendError> {
        let content = tokio::time::timeout(RENDER_DEADLINE, (self.render)(mail.clone()))
            .await
            .map_err(|elapsed| SendError::Deferred(format!("rendering: {elapsed}")))?
            .map_err(|error| SendError::Deferred(error.to_string()))?;
        let at = self.clock.now();
        build(&content, &self.from, &mail.recipient, &mail.message_id, at).map_err(|error| {
            match error {
                BuildError::Recipient(_) => SendError::Refused(error.to_string()),
                BuildError::Message(_) => SendError::Deferred(error.to_string()),
            }
        })
    }

    /// Writes down what became of a mail.
    async fn settle(
        &self,
        mail: &Claimed,
        result: Result<String, SendError>,
    ) -> Result<Outcome, sqlx::Error> {
        let conn = &mut *self.pool.acquire().await?;
        let now = self.clock.now();
        let (is_ours, outcome) = match result {
            Ok(words) => (
                store::finish_sent(conn, mail, &words, now).await?,
                Outcome::Sent,
            ),
            Err(SendError::Refused(words)) => (
                store::finish_failed(conn, mail, &words, now).await?,
                Outcome::Failed,
            ),
            Err(SendError::Unreachable(words)) => (
                store::release(conn, mail, &words).await?,
                Outcome::Unreachable(words),
            ),
            Err(SendError::Deferred(words)) => {
                if let Some(delay) = backoff::delay(attempts_with_this(mail), rand::random()) {
                    (
                        store::retry_later(conn, mail, &words, delay).await?,
                        Outcome::Deferred,
                    )
                } else {
                    let words = format!(
                        "given up after {} days; the last answer was: {words}",
                        backoff::GIVE_UP_AFTER.as_secs() / 86_400
                    );
                    (
                        store::finish_failed(conn, mail, &words, now).await?,
                        Outcome::Failed,
                    )
                }
            }
        };
        Ok(if is_ours { outcome } else { Outcome::LeaseLost })
    }
}

/// What keeps all mails from going out.
enum Trouble {
    MailServer(String),
    Database(sqlx::Error),
}

fn trouble(done: Result<Result<Outcome, sqlx::Error>, JoinError>) -> Option<Trouble> {
    match done {
        Ok(Ok(Outcome::Unreachable(reason))) => Some(Trouble::MailServer(reason)),
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(Trouble::Database(error)),
        Err(error) => {
            tracing::error!(%error, "The sending of a mail broke off; it goes out again when its lease ends");
            None
        }
    }
}

fn attempts_with_this(mail: &Claimed) -> u32 {
    u32::try_from(mail.attempts).unwrap_or(0).saturating_add(1)
}

/// One line a mail, without the address and the server's words, which may hold it: those are in Desk > Mail.
fn log(mail: &Claimed, outcome: &Outcome) {
    let (id, ticket) = (mail.id, mail.ticket_id);
    match outcome {
        Outcome::Sent => tracing::info!(mail.id = %id, ticket.id = %ticket, "Sent a mail"),
        Outcome::Deferred => {
            tracing::warn!(mail.id = %id, ticket.id = %ticket, "A mail was deferred");
        }
        Outcome::Failed => {
            tracing::error!(mail.id = %id, ticket.id = %ticket, "A mail failed for good; see Desk > Mail");
        }
        Outcome::Held => {
            tracing::warn!(mail.id = %id, ticket.id = %ticket, "A mail is held: its address had many within the hour");
        }
        Outcome::LeaseLost => {
            tracing::warn!(mail.id = %id, ticket.id = %ticket, "A mail outlasted its lease and may be sent twice");
        }
        Outcome::Idle | Outcome::Unreachable(_) => {}
    }
}
