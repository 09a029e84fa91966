//! Look-ups by key, those of all requests that wait in one query.
//!
//! A query over the partitions of fourteen days costs Postgres more to set up than to run, and each key more in it a
//! fraction of that: under load, where requests wait for each other anyway, a group of them costs hardly more than
//! one did. Without load every request has a query of its own at once. Nothing is cached: the query that answers a
//! request begins after the request came.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::oneshot;

/// Queries of one kind at a time: one is at work in Postgres while the other's answers are read.
const LOOKERS: usize = 2;
/// Keys of one query: as many as its statement has parameters. Not one parameter that is an array: Postgres expects
/// ten elements of an unknown array, so that a plan made for the one at hand always looks cheaper than the kept plan,
/// and every query would be planned anew, over all partitions.
pub const MAX_KEYS: usize = 8;

/// What is looked up.
pub trait Lookup: Send + 'static {
    /// By what.
    type Key: Copy + Eq + Hash + Send + Sync;
    /// What is found; several requests may get the same.
    type Found: Clone + Send;

    /// Finds what there is of `keys`, 1 to [`MAX_KEYS`].
    fn look(
        conn: &mut PgConnection,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Found>, sqlx::Error>> + Send;
}

/// The parameters of a query for `keys`: of fewer than [`MAX_KEYS`] the first one stands for the missing ones, of
/// more the rest is left out.
///
/// # Panics
/// When there are no keys.
#[must_use]
pub fn padded<T: Copy>(keys: &[T]) -> [T; MAX_KEYS] {
    std::array::from_fn(|index| *keys.get(index).unwrap_or(&keys[0]))
}

/// Groups the look-ups of one kind.
pub struct Grouped<L: Lookup> {
    pool: PgPool,
    waiting: Arc<Mutex<Waiting<L>>>,
}

impl<L: Lookup> Clone for Grouped<L> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            waiting: Arc::clone(&self.waiting),
        }
    }
}

struct Waiting<L: Lookup> {
    asked: Vec<Asked<L>>,
    /// Tasks at work, each of which takes what is asked meanwhile.
    lookers: usize,
}

struct Asked<L: Lookup> {
    key: L::Key,
    answer: oneshot::Sender<Answer<L>>,
}

/// The error is shared by all whom the query was for.
type Answer<L> = Result<Option<<L as Lookup>::Found>, Arc<sqlx::Error>>;

impl<L: Lookup> Grouped<L> {
    /// Look-ups in this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let waiting = Waiting {
            asked: Vec::new(),
            lookers: 0,
        };
        Self {
            pool,
            waiting: Arc::new(Mutex::new(waiting)),
        }
    }

    /// What is stored under this key now.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, key: L::Key) -> Answer<L> {
        let (answer, found) = oneshot::channel();
        let must_look = {
            let mut waiting = self.lock();
            waiting.asked.push(Asked { key, answer });
            let must_look = waiting.lookers < LOOKERS;
            waiting.lookers += usize::from(must_look);
            must_look
        };
        if must_look {
            tokio::spawn(self.clone().look());
        }
        // A looker is cut off only when its server stops.
        found
            .await
            .unwrap_or_else(|_| Err(Arc::new(sqlx::Error::WorkerCrashed)))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<L>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(self) {
        let mut place = Place {
            of: &self,
            is_given_up: false,
        };
        // Kept from query to query, until one fails.
        let mut conn = None;
        while let Some(asked) = place.take() {
            let keys: Vec<_> = asked.iter().map(|asked| asked.key).collect();
            let found = self.query(&mut conn, &keys).await.map_err(Arc::new);
            if found.is_err() {
                conn = None;
            }
            for Asked { key, answer } in asked {
                let one = found.as_ref().map(|found| found.get(&key).cloned());
                let _gone = answer.send(one.map_err(Arc::clone));
            }
        }
    }

    async fn query(
        &self,
        conn: &mut Option<PoolConnection<Postgres>>,
        keys: &[L::Key],
    ) -> Result<HashMap<L::Key, L::Found>, sqlx::Error> {
        let conn = match conn {
            Some(conn) => conn,
            None => conn.insert(self.pool.acquire().await?),
        };
        L::look(conn, keys).await
    }
}

/// The place of a looker, given up when its task ends, however it does.
struct Place<'a, L: Lookup> {
    of: &'a Grouped<L>,
    is_given_up: bool,
}

impl<L: Lookup> Place<'_, L> {
    /// What was asked since the last query. If that is nothing, the place is given up before anybody else can ask.
    fn take(&mut self) -> Option<Vec<Asked<L>>> {
        let mut waiting = self.of.lock();
        let count = waiting.asked.len().min(MAX_KEYS);
        if count == 0 {
            waiting.lookers -= 1;
            self.is_given_up = true;
            return None;
        }
        Some(waiting.asked.drain(..count).collect())
    }
}

impl<L: Lookup> Drop for Place<'_, L> {
    fn drop(&mut self) {
        if !self.is_given_up {
            self.of.lock().lookers -= 1;
        }
    }
}
