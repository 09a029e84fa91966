//! When to try a mail again, and when to give up. Pure.

use std::time::Duration;

/// Wait before the second attempt.
const FIRST_DELAY: Duration = Duration::from_mins(1);

/// Longest wait between two attempts: RFC 5321 section 4.5.4.1 finds two to three hours usual after the first tries.
const MAX_DELAY: Duration = Duration::from_hours(4);

/// For how long a mail is tried: RFC 5321 section 4.5.4.1 asks for at least 4 to 5 days.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(5 * 24);

/// How far a wait may be off the plan, as a part of it, so that mails deferred together don't come back together.
const JITTER: f64 = 0.25;

/// How long to wait after the given number of attempts, or `None` to give up.
///
/// By plan 1, 2, 4, 8, 16, 32, 64, 128 minutes, then every 4 hours: 36 waits come to 4.84 days, a 37th would end past
/// [`GIVE_UP_AFTER`]. `random` is in 0..1 and moves a wait by up to a quarter to either side. Attempts are counted, not
/// days, so that an outage of the mail server, which counts none, gives up no mail.
#[must_use]
pub fn delay(attempts: u32, random: f64) -> Option<Duration> {
    let waited: Duration = (1..=attempts).map(planned).sum();
    let factor = 1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0);
    (waited <= GIVE_UP_AFTER).then(|| planned(attempts).mul_f64(factor))
}

/// The wait after an attempt without jitter; attempts count from 1.
fn planned(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    (FIRST_DELAY * (1 << doublings)).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Without jitter.
    const MIDDLE: f64 = 0.5;

    #[test]
    fn the_delays_are_those_in_the_doc() {
        let minutes: Vec<u64> = (1..=10)
            .map(|attempt| delay(attempt, MIDDLE).unwrap().as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 240, 240]);
    }

    #[test]
    fn a_mail_is_given_up_after_about_five_days() {
        let waits: Vec<Duration> = (1..).map_while(|attempt| delay(attempt, MIDDLE)).collect();
        let total: Duration = waits.iter().sum();
        assert_eq!(waits.len(), 36);
        assert!(total <= GIVE_UP_AFTER && total + MAX_DELAY > GIVE_UP_AFTER);
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_jitter_and_giving_up_is_for_good(attempt in 1u32..60, random in 0.0f64..1.0) {
            if let Some(wait) = delay(attempt, random) {
                let plan = planned(attempt).as_secs_f64();
                prop_assert!((wait.as_secs_f64() - plan).abs() <= plan * JITTER + 1e-6);
            } else {
                prop_assert_eq!(delay(attempt + 1, random), None);
            }
        }

        #[test]
        fn no_input_panics(attempt in 0u32..1_000_000, random in proptest::num::f64::ANY) {
            prop_assume!(!random.is_nan());
            let _ = delay(attempt, random);
        }
    }
}
