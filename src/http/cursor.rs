//! Opaque cursors: the place of a row in an order of (time, ID), so that rows inserted meanwhile shift nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The cursor of what comes after this row.
#[must_use]
pub fn encode(time: DateTime<Utc>, id: Uuid) -> String {
    let mut bytes = time.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The row that a cursor stands for. `None` when it is none of ours.
#[must_use]
pub fn decode(text: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (time, id) = bytes.split_first_chunk::<8>()?;
    let time = DateTime::from_timestamp_micros(i64::from_be_bytes(*time))?;
    Some((time, Uuid::from_slice(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_rubbish_is_none() {
        let time = DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap();
        let id = Uuid::from_u128(7);
        assert_eq!(decode(&encode(time, id)), Some((time, id)));
        for rubbish in ["", "x", "AAAA", "!!", &encode(time, id)[1..]] {
            assert_eq!(decode(rubbish), None, "{rubbish}");
        }
    }
}
