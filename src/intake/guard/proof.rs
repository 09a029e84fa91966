//! A proof of work by ALTCHA's protocol (version 1, SHA-256): the browser looks for the number that, behind the salt,
//! has the hash that we name. It costs a person nothing, and who sends thousands a processor. No third party is asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, query};

use super::secret::Secret;
use crate::clock::random_bytes;

/// Numbers are up to this. A browser tries some 100,000 a second, an old phone 20,000: half of them in a quarter of a
/// second to one and a half.
pub const MAX_NUMBER: u64 = 50_000;
/// A challenge must be answered within this time. The form's script asks for another one later than that.
pub const LIFETIME: Duration = Duration::minutes(30);
/// The one algorithm.
const ALGORITHM: &str = "SHA-256";
/// A payload is some 350 bytes; more is none.
const MAX_PAYLOAD_BYTES: usize = 2_048;

/// What the browser is asked (ALTCHA's names).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Challenge {
    algorithm: &'static str,
    #[serde(rename = "challenge")]
    hash: String,
    maxnumber: u64,
    salt: String,
    signature: String,
}

/// What it answers: base64 of this as JSON.
#[derive(Debug, Clone, Deserialize)]
struct Payload {
    algorithm: String,
    challenge: String,
    number: u64,
    salt: String,
    signature: String,
}

/// How a proof looks, apart from whether it was shown before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// None was sent, or it came too late to count.
    Absent,
    /// It does not hold.
    Wrong,
    /// It holds.
    Good {
        /// SHA-256, by which its use is remembered.
        challenge: [u8; 32],
        /// Until when.
        expires_at: DateTime<Utc>,
    },
}

impl Challenge {
    /// A fresh one.
    #[must_use]
    pub fn new(secret: &Secret, now: DateTime<Utc>) -> Self {
        let random: [u8; 12] = random_bytes();
        let expires = (now + LIFETIME).timestamp();
        // The "&" at the end keeps digits of the number from being read as digits of the date.
        let salt = format!("{}?expires={expires}&", hex::encode(random));
        let number = u64::from_be_bytes(random_bytes()) % (MAX_NUMBER + 1);
        let challenge = hex::encode(hash(&salt, number));
        Self {
            algorithm: ALGORITHM,
            signature: hex::encode(secret.sign(&[challenge.as_bytes()])),
            maxnumber: MAX_NUMBER,
            hash: challenge,
            salt,
        }
    }

    /// The answer, found as a browser finds it. `None` for a challenge without one.
    #[must_use]
    pub fn solve(&self) -> Option<String> {
        let is_it = |number: &u64| hex::encode(hash(&self.salt, *number)) == self.hash;
        let number = (0..=self.maxnumber).find(is_it)?;
        let payload = serde_json::json!({
            "algorithm": self.algorithm, "challenge": self.hash, "number": number,
            "salt": self.salt, "signature": self.signature,
        });
        Some(STANDARD.encode(payload.to_string()))
    }
}

fn hash(salt: &str, number: u64) -> [u8; 32] {
    Sha256::digest(format!("{salt}{number}")).into()
}

/// Looks at what was sent as a proof.
#[must_use]
pub fn check(secret: &Secret, text: &str, now: DateTime<Utc>) -> Proof {
    if text.is_empty() {
        return Proof::Absent;
    }
    match read(secret, text) {
        None => Proof::Wrong,
        Some((_, expires_at)) if expires_at < now => Proof::Absent,
        Some((challenge, expires_at)) => Proof::Good {
            challenge,
            expires_at,
        },
    }
}

/// The challenge and its end, if the proof holds.
fn read(secret: &Secret, text: &str) -> Option<([u8; 32], DateTime<Utc>)> {
    if text.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload: Payload = serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?;
    let signature = hex::decode(&payload.signature).ok()?;
    let found = hash(&payload.salt, payload.number);
    let is_good = payload.algorithm == ALGORITHM
        && payload.number <= MAX_NUMBER
        && payload.challenge == hex::encode(found)
        && secret.is_signature(&[payload.challenge.as_bytes()], &signature);
    let expires = payload
        .salt
        .split_once("?expires=")?
        .1
        .strip_suffix('&')?
        .parse()
        .ok()?;
    let expires_at = DateTime::from_timestamp(expires, 0)?;
    is_good.then_some((found, expires_at))
}

/// Uses a proof up. `false` if it was shown before, on any node.
///
/// # Errors
/// The database's.
pub async fn use_up(
    conn: &mut PgConnection,
    challenge: [u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = query!(
        "INSERT INTO used_proofs (challenge, expires_at) VALUES ($1, $2) ON CONFLICT (challenge) DO NOTHING",
        &challenge[..],
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets proofs that are refused by their date by now.
///
/// # Errors
/// The database's.
pub async fn delete_expired(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = query!("DELETE FROM used_proofs WHERE expires_at < $1", now)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_602_900, 0).unwrap()
    }

    fn changed(text: &str, change: impl Fn(&mut serde_json::Value)) -> String {
        let mut json = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
        change(&mut json);
        STANDARD.encode(json.to_string())
    }

    #[test]
    fn a_solved_challenge_holds_until_it_expires() {
        let secret = Secret::new([7; 32]);
        let answer = Challenge::new(&secret, now()).solve().unwrap();
        let good = check(&secret, &answer, now());
        assert!(matches!(good, Proof::Good { expires_at, .. } if expires_at == now() + LIFETIME));
        let late = now() + LIFETIME + Duration::seconds(1);
        assert_eq!(check(&secret, &answer, late), Proof::Absent);
        assert_eq!(check(&secret, "", now()), Proof::Absent);
        let other = Secret::new([8; 32]);
        assert_eq!(check(&other, &answer, now()), Proof::Wrong);
    }

    #[test]
    fn nothing_of_a_proof_can_be_changed() {
        let secret = Secret::new([7; 32]);
        let answer = Challenge::new(&secret, now()).solve().unwrap();
        let number = |json: &serde_json::Value| json["number"].as_u64().unwrap();
        let forged = [
            changed(&answer, |json| json["number"] = (number(json) + 1).into()),
            changed(&answer, |json| json["algorithm"] = "SHA-1".into()),
            // Digits of the number moved into the date: the hash stays the same.
            changed(&answer, |json| {
                let digits = number(json).to_string();
                let salt = json["salt"].as_str().unwrap();
                json["salt"] = format!("{salt}{}", &digits[..1]).into();
                json["number"] = digits[1..].parse::<u64>().unwrap_or(0).into();
            }),
            changed(&answer, |json| {
                json["salt"] = json["salt"].as_str().unwrap().replace("=1", "=9").into();
            }),
            "x".to_owned(),
            STANDARD.encode("{}"),
            "A".repeat(10_000),
        ];
        for text in forged {
            assert_eq!(check(&secret, &text, now()), Proof::Wrong, "{text}");
        }
    }
}
