//! Slows down who guesses passwords: a bucket for each address that tries and one for each address that is tried.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Attempts at once, then one every [`SECONDS_A_TRY`].
const TRIES: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
/// After the first ten, an address gets 5 tries a minute: 7,200 a day, hopeless against 22 random characters.
const SECONDS_A_TRY: u64 = 12;
/// Buckets kept before full ones are forgotten: about 100 bytes each, 1 MB.
const MAX_BUCKETS: usize = 10_000;

/// The buckets.
pub struct Throttle {
    buckets: DefaultKeyedRateLimiter<String>,
}

impl Default for Throttle {
    fn default() -> Self {
        let pace = std::time::Duration::from_secs(SECONDS_A_TRY);
        let quota = Quota::with_period(pace)
            .unwrap_or(Quota::per_minute(TRIES))
            .allow_burst(TRIES);
        Self {
            buckets: RateLimiter::keyed(quota),
        }
    }
}

impl Throttle {
    /// Counts one try for each of `keys`.
    ///
    /// # Errors
    /// The seconds to wait when one of them has tried too often.
    pub fn check(&self, keys: [String; 2]) -> Result<(), u64> {
        if self.buckets.len() > MAX_BUCKETS {
            self.buckets.retain_recent();
        }
        for key in keys {
            self.buckets.check_key(&key).map_err(|wait| {
                wait.wait_time_from(DefaultClock::default().now())
                    .as_secs()
                    .saturating_add(1)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_try_waits_whoever_is_tried() {
        let throttle = Throttle::default();
        for n in 0..10 {
            throttle
                .check(["ip 192.0.2.1".to_owned(), format!("account {n}")])
                .unwrap();
        }
        let wait = throttle
            .check(["ip 192.0.2.1".to_owned(), "account x".to_owned()])
            .unwrap_err();
        assert!((1..=SECONDS_A_TRY + 1).contains(&wait), "{wait}");
        throttle
            .check(["ip 192.0.2.2".to_owned(), "account x".to_owned()])
            .unwrap();
    }
}
