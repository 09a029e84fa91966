//! Time and fresh identifiers: the only caller of `Utc::now` and of the UUID generators.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where the time comes from: the system, or a test.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds since the epoch when a test holds the time.
    fixed: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `now` until [`Clock::set`] moves it.
    #[must_use]
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self {
            fixed: Some(Arc::new(AtomicI64::new(now.timestamp_micros()))),
        }
    }

    /// Moves a fixed clock; does nothing to the system's.
    pub fn set(&self, now: DateTime<Utc>) {
        if let Some(fixed) = &self.fixed {
            fixed.store(now.timestamp_micros(), Ordering::SeqCst);
        }
    }

    /// Now, cut to the microseconds that Postgres keeps, so that a value written and read back is equal.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.fixed {
            Some(fixed) => fixed.load(Ordering::SeqCst),
            None => Utc::now().timestamp_micros(),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// A fresh row identifier, rising with time so that primary keys append.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that makes identifiers"
)]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Random bytes from the operating system's generator, for secrets.
///
/// # Panics
/// When the operating system has no randomness to give, which it reports only before its generator is seeded.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::random()
}

/// Nanoseconds since the epoch by the system's clock, for the spans of our own requests: a held clock would make
/// every span take no time.
#[must_use]
pub fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
