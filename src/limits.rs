//! The limits on what anybody may ask of the service, by address.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota};

use crate::http::rate_limit::RateLimit;

const fn times(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a limit is more than zero")
}

/// One bucket a purpose and address.
pub struct Limits {
    /// Sign-ins by the address that tries: ten at once, then 5 a minute.
    pub sign_in_from: RateLimit,
    /// Sign-ins by the person that is tried: more, so that one who guesses does not keep the person out.
    pub sign_in_to: RateLimit,
    /// Reports by the form: a whole office behind one address, then one every two seconds.
    pub report: RateLimit,
    /// Reports by the form from everywhere, on this node: what staff can still look through.
    pub report_all: RateLimit,
    /// Reports without a proof of work: more from one address are a sign of spam.
    pub unproven: RateLimit,
    /// Pictures of forms that are refused for now, kept all the same: decoding them costs a second each.
    pub keep_files: RateLimit,
    /// Reports by a page's script, by the address of its reporter.
    pub page_report: RateLimit,
    /// Reports by a publishable key, from everywhere: who has the page has the key.
    pub page_key: RateLimit,
    /// Look-ups of a trace's failure by its ID: each reads the trace. Somebody who pastes a few IDs, or types one.
    pub check: RateLimit,
    /// Answers that solved something, and other clicks that are only counted.
    pub click: RateLimit,
    /// Lost links asked for by one source: a person who mistypes, then one a minute.
    pub lost: RateLimit,
    /// Traces of our own requests that are stored: a burst of 1,000, then 100 a second, 8.6 million a day at most.
    own_traces: DefaultDirectRateLimiter,
}

impl Limits {
    /// Whether one more trace of our own may be stored.
    #[must_use]
    pub fn own_trace(&self) -> bool {
        self.own_traces.check().is_ok()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_in_from: RateLimit::new(times(10), Duration::from_secs(12)),
            sign_in_to: RateLimit::new(times(100), Duration::from_secs(1)),
            report: RateLimit::new(times(100), Duration::from_secs(2)),
            report_all: RateLimit::new(times(1_000), Duration::from_millis(200)),
            unproven: RateLimit::new(times(30), Duration::from_secs(20)),
            keep_files: RateLimit::new(times(10), Duration::from_secs(30)),
            page_report: RateLimit::new(times(20), Duration::from_secs(30)),
            page_key: RateLimit::new(times(500), Duration::from_millis(500)),
            check: RateLimit::new(times(30), Duration::from_secs(2)),
            click: RateLimit::new(times(20), Duration::from_secs(6)),
            lost: RateLimit::new(times(10), Duration::from_mins(1)),
            own_traces: DefaultDirectRateLimiter::direct(
                Quota::per_second(times(100)).allow_burst(times(1_000)),
            ),
        }
    }
}
