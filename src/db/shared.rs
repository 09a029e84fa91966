//! Look-ups of what many requests ask for at the same time, such as a product's API key: one query answers all who
//! wait for it.
//!
//! Nothing is cached: the query that answers a request begins after the request came, so that a key that was revoked
//! before is refused. Whoever comes while a query runs waits for the next one. Without load every request has a query
//! of its own at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::oneshot;

/// What is looked up.
pub trait Lookup: Send + 'static {
    /// By what.
    type Key: Copy + Eq + Hash + Send + Sync;
    /// What is found; all who wait get the same.
    type Found: Clone + Send;

    /// Finds what there is under `key`.
    fn look(
        conn: &mut PgConnection,
        key: Self::Key,
    ) -> impl Future<Output = Result<Option<Self::Found>, sqlx::Error>> + Send;
}

/// The look-ups of one kind.
pub struct Shared<L: Lookup> {
    pool: PgPool,
    /// Who waits, by key. A key is here as long as a task looks for it: no more of them than requests under way.
    waiting: Arc<Mutex<Waiting<L>>>,
}

type Waiting<L> = HashMap<<L as Lookup>::Key, Vec<Waiter<L>>>;

type Waiter<L> = oneshot::Sender<Answer<L>>;

/// The error is shared by all whom the query was for.
type Answer<L> = Result<Option<<L as Lookup>::Found>, Arc<sqlx::Error>>;

impl<L: Lookup> Clone for Shared<L> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            waiting: Arc::clone(&self.waiting),
        }
    }
}

impl<L: Lookup> Shared<L> {
    /// Look-ups in this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            waiting: Arc::default(),
        }
    }

    /// What is stored under this key now.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, key: L::Key) -> Answer<L> {
        let (answer, found) = oneshot::channel();
        let must_look = match self.lock().entry(key) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(answer);
                false
            }
            Entry::Vacant(nobody) => {
                nobody.insert(vec![answer]);
                true
            }
        };
        if must_look {
            tokio::spawn(self.clone().look(key));
        }
        // A look is cut off only when its server stops.
        found
            .await
            .unwrap_or_else(|_| Err(Arc::new(sqlx::Error::WorkerCrashed)))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<L>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(self, key: L::Key) {
        let mut place = Place {
            of: &self,
            key,
            is_given_up: false,
        };
        // Kept from query to query, until one fails.
        let mut conn = None;
        while let Some(waiting) = place.take() {
            let found = self.query(&mut conn, key).await.map_err(Arc::new);
            if found.is_err() {
                conn = None;
            }
            for waiter in waiting {
                let _gone = waiter.send(found.clone());
            }
        }
    }

    async fn query(
        &self,
        conn: &mut Option<PoolConnection<Postgres>>,
        key: L::Key,
    ) -> Result<Option<L::Found>, sqlx::Error> {
        let conn = match conn {
            Some(conn) => conn,
            None => conn.insert(self.pool.acquire().await?),
        };
        L::look(conn, key).await
    }
}

/// The place of whoever looks for a key, given up when the task ends, however it does.
struct Place<'a, L: Lookup> {
    of: &'a Shared<L>,
    key: L::Key,
    is_given_up: bool,
}

impl<L: Lookup> Place<'_, L> {
    /// Who came since the last query. If that is nobody, the place is given up before anybody else can come.
    fn take(&mut self) -> Option<Vec<Waiter<L>>> {
        let mut waiting = self.of.lock();
        let came = std::mem::take(waiting.get_mut(&self.key)?);
        if came.is_empty() {
            waiting.remove(&self.key);
            self.is_given_up = true;
            return None;
        }
        Some(came)
    }
}

impl<L: Lookup> Drop for Place<'_, L> {
    fn drop(&mut self) {
        if !self.is_given_up {
            self.of.lock().remove(&self.key);
        }
    }
}
