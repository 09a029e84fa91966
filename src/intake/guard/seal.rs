//! The seal of a form: when it was opened, signed, so that a report tells how long somebody had the form before them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};

use super::secret::Secret;
use crate::tickets::drafts::UNSENT_HOURS;

/// Nobody reads, types and sends a report in less.
pub const YOUNGEST: Duration = Duration::seconds(2);
/// As long as the pictures of an unsent form are kept.
pub const OLDEST: Duration = Duration::hours(UNSENT_HOURS);
/// Clocks of nodes differ by this much at most.
const CLOCK_SKEW: Duration = Duration::minutes(1);

/// Tells this signature's purpose from others by the same secret.
const PURPOSE: &[u8] = b"form opened at ";
/// Bytes of the time: seconds since the epoch, big-endian.
const TIME_BYTES: usize = 8;

/// How a seal looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// None, or not ours.
    Unsigned,
    /// Opened a moment ago.
    Fresh,
    /// As of somebody who wrote.
    Good,
    /// From before [`OLDEST`].
    Stale,
}

/// Seals a form opened at this time.
#[must_use]
pub fn seal(secret: &Secret, opened: DateTime<Utc>) -> String {
    let time = opened.timestamp().to_be_bytes();
    let signature = secret.sign(&[PURPOSE, &time]);
    URL_SAFE_NO_PAD.encode([&time[..], &signature[..]].concat())
}

/// Seals a form that was opened before and grew too old: it may be sent again at once.
#[must_use]
pub fn renewed(secret: &Secret, now: DateTime<Utc>) -> String {
    seal(secret, now - YOUNGEST - YOUNGEST)
}

/// Reads a seal.
#[must_use]
pub fn age(secret: &Secret, text: &str, now: DateTime<Utc>) -> Age {
    let Some(opened) = opened_at(secret, text) else {
        return Age::Unsigned;
    };
    let age = now - opened;
    if age < -CLOCK_SKEW {
        Age::Unsigned
    } else if age < YOUNGEST {
        Age::Fresh
    } else if age > OLDEST {
        Age::Stale
    } else {
        Age::Good
    }
}

fn opened_at(secret: &Secret, text: &str) -> Option<DateTime<Utc>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (time, signature) = bytes.split_first_chunk::<TIME_BYTES>()?;
    secret
        .is_signature(&[PURPOSE, time], signature)
        .then(|| DateTime::from_timestamp(i64::from_be_bytes(*time), 0))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_tells_its_age_and_cannot_be_made_up() {
        let (secret, other) = (Secret::new([7; 32]), Secret::new([8; 32]));
        let opened = DateTime::from_timestamp(1_795_602_900, 0).unwrap();
        let sealed = seal(&secret, opened);
        for (after, expected) in [
            (Duration::zero(), Age::Fresh),
            (Duration::milliseconds(1_999), Age::Fresh),
            (YOUNGEST, Age::Good),
            (OLDEST, Age::Good),
            (OLDEST + Duration::seconds(1), Age::Stale),
            (-Duration::seconds(30), Age::Fresh),
            (-Duration::hours(1), Age::Unsigned),
        ] {
            assert_eq!(age(&secret, &sealed, opened + after), expected, "{after}");
        }
        assert_eq!(
            age(&other, &sealed, opened + Duration::minutes(1)),
            Age::Unsigned
        );
        for at in 0..sealed.len() - 1 {
            let mut forged = sealed.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            let now = opened + Duration::minutes(1);
            assert_eq!(age(&secret, &forged, now), Age::Unsigned, "{at}");
        }
        for text in ["", "x", "AAAAAAAAAAA"] {
            assert_eq!(age(&secret, text, opened), Age::Unsigned);
        }
    }

    #[test]
    fn what_is_renewed_may_be_sent_at_once() {
        let secret = Secret::new([7; 32]);
        let now = DateTime::from_timestamp(1_795_602_900, 0).unwrap();
        assert_eq!(age(&secret, &renewed(&secret, now), now), Age::Good);
    }
}
