//! Looks API keys up, those of all requests that wait in one query. Nothing is cached: the query of a request begins
//! after the request came, so a key that was revoked before is refused. Under load a query answers many requests, and
//! the check costs each a fraction of a round trip.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::sync::oneshot;

use super::store::{self, KeyRow};
use crate::http::error::Problem;

/// Finds keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyFinder {
    pool: PgPool,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    asked: Vec<Asked>,
    /// Whether a task is at it, which takes what is asked meanwhile.
    is_looking: bool,
}

/// A request's question.
struct Asked {
    hash: [u8; 32],
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Option<KeyRow>, Problem>;

impl KeyFinder {
    /// A finder on this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            waiting: Arc::default(),
        }
    }

    /// The key with this hash, unless it is revoked.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, hash: [u8; 32]) -> Answer {
        let (answer, found) = oneshot::channel();
        let must_look = {
            let mut waiting = self.lock();
            waiting.asked.push(Asked { hash, answer });
            !std::mem::replace(&mut waiting.is_looking, true)
        };
        if must_look {
            tokio::spawn(self.clone().look());
        }
        // The task that answers ends early only with the process.
        found.await.unwrap_or_else(|_| Err(Problem::unavailable()))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked since the last query; `None`, and the task ends, when that is nothing.
    fn take_asked(&self) -> Option<Vec<Asked>> {
        let mut waiting = self.lock();
        waiting.is_looking = !waiting.asked.is_empty();
        waiting
            .is_looking
            .then(|| std::mem::take(&mut waiting.asked))
    }

    async fn look(self) {
        // Kept from query to query, until one fails.
        let mut conn = None;
        while let Some(asked) = self.take_asked() {
            let hashes: Vec<_> = asked.iter().map(|asked| asked.hash).collect();
            let found = self.query(&mut conn, &hashes).await.map_err(Problem::from);
            if found.is_err() {
                conn = None;
            }
            for Asked { hash, answer } in asked {
                let key = found
                    .as_ref()
                    .map(|found| found.get(&hash).cloned())
                    .map_err(Clone::clone);
                let _gone = answer.send(key);
            }
        }
    }

    async fn query(
        &self,
        conn: &mut Option<PoolConnection<Postgres>>,
        hashes: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], KeyRow>, sqlx::Error> {
        let conn = match conn {
            Some(conn) => conn,
            None => conn.insert(self.pool.acquire().await?),
        };
        store::find_keys(conn, hashes).await
    }
}
