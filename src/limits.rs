//! The limits on what anybody may ask of the service, by address.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::http::rate_limit::RateLimit;

const fn times(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a limit is more than zero")
}

/// One bucket a purpose and address.
pub struct Limits {
    /// Sign-ins, by the address that tries and by the one that is tried: ten at once, then 5 a minute, which is 7,200
    /// a day and hopeless against 22 random characters.
    pub sign_in: RateLimit,
    /// Reports by the form: a whole office behind one address, then one every two seconds.
    pub report: RateLimit,
    /// Look-ups of a trace's failure by its ID: each reads the trace. Somebody who pastes a few IDs, or types one.
    pub check: RateLimit,
    /// Answers that solved something, and other clicks that are only counted.
    pub click: RateLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_in: RateLimit::new(times(10), Duration::from_secs(12)),
            report: RateLimit::new(times(100), Duration::from_secs(2)),
            check: RateLimit::new(times(30), Duration::from_secs(2)),
            click: RateLimit::new(times(20), Duration::from_secs(6)),
        }
    }
}
