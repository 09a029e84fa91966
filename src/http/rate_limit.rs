//! Limits on how often one address may do something: a bucket for each key, in memory.

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::error::{Problem, Reason};

/// Buckets kept before full ones are forgotten: about 100 bytes each, 1 MB.
const MAX_BUCKETS: usize = 10_000;

/// One limit, with a bucket a key.
pub struct RateLimit {
    buckets: DefaultKeyedRateLimiter<String>,
}

impl RateLimit {
    /// `burst` times at once, then once every `pace`.
    #[must_use]
    pub fn new(burst: NonZeroU32, pace: Duration) -> Self {
        let quota = Quota::with_period(pace)
            .unwrap_or(Quota::per_minute(burst))
            .allow_burst(burst);
        Self {
            buckets: RateLimiter::keyed(quota),
        }
    }

    /// Counts one time for `key`.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        if self.buckets.len() > MAX_BUCKETS {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(&key.to_owned()).map_err(|wait| {
            let seconds = wait
                .wait_time_from(DefaultClock::default().now())
                .as_secs()
                .saturating_add(1);
            let detail = format!("There were too many attempts. Try again in {seconds} seconds.");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
                .with_reason(Reason::TooOften(seconds))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_burst_one_waits_and_others_do_not() {
        let limit = RateLimit::new(NonZeroU32::new(10).unwrap(), Duration::from_secs(12));
        for _ in 0..10 {
            limit.check("192.0.2.1").unwrap();
        }
        let problem = limit.check("192.0.2.1").unwrap_err();
        assert_eq!(problem.status(), StatusCode::TOO_MANY_REQUESTS);
        limit.check("192.0.2.2").unwrap();
    }
}
