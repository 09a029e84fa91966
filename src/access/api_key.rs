//! API keys: `td_` and 48 characters, which are base64url of 32 random bytes and their CRC-32. The checksum tells a
//! typo from a wrong key without asking the database; only a hash of the random bytes is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::clock::random_bytes;

const PREFIX: &str = "td_";
const SECRET_BYTES: usize = 32;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "api_scope")]
pub enum Scope {
    /// Open tickets.
    #[sqlx(rename = "tickets:write")]
    TicketsWrite,
    /// Read tickets.
    #[sqlx(rename = "tickets:read")]
    TicketsRead,
    /// Send spans.
    #[sqlx(rename = "traces:write")]
    TracesWrite,
    /// Read traces.
    #[sqlx(rename = "traces:read")]
    TracesRead,
    /// Everything.
    #[sqlx(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::TicketsWrite,
        Self::TicketsRead,
        Self::TracesWrite,
        Self::TracesRead,
        Self::Admin,
    ];

    /// The name on the command line and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TicketsWrite => "tickets:write",
            Self::TicketsRead => "tickets:read",
            Self::TracesWrite => "traces:write",
            Self::TracesRead => "traces:read",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text.trim())
            .ok_or_else(|| {
                format!(
                    "{text:?} is not a scope; scopes are {}",
                    Self::ALL.map(Self::as_str).join(", ")
                )
            })
    }
}

/// The key in full. Shown once, never kept.
#[derive(Debug, Clone)]
pub struct ApiKey {
    secret: [u8; SECRET_BYTES],
}

impl ApiKey {
    /// A fresh random key.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            secret: random_bytes(),
        }
    }

    /// Reads a key. `None` when it can't be one: wrong prefix, length, letters or checksum.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (secret, checksum) = bytes.split_at_checked(SECRET_BYTES)?;
        (checksum == crc32fast::hash(secret).to_be_bytes())
            .then(|| secret.try_into().ok().map(|secret| Self { secret }))
            .flatten()
    }

    /// The key as its holder sends it.
    #[must_use]
    pub fn reveal(&self) -> SecretString {
        let mut bytes = self.secret.to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&self.secret).to_be_bytes());
        SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_reads_back_and_any_typo_is_told() {
        let key = ApiKey::generate();
        let text = key.reveal().expose_secret().to_owned();
        assert_eq!(text.len(), 51);
        assert_eq!(ApiKey::parse(&text).unwrap().hash(), key.hash());
        for at in 0..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[at] = if typo[at] == b'A' { b'B' } else { b'A' };
            assert!(
                ApiKey::parse(std::str::from_utf8(&typo).unwrap()).is_none(),
                "typo at {at}"
            );
        }
        assert!(ApiKey::parse(&text[..50]).is_none());
        assert!(ApiKey::parse("").is_none());
    }

    #[test]
    fn scopes_have_the_names_that_postgres_knows() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!(
            "tickets"
                .parse::<Scope>()
                .unwrap_err()
                .contains("tickets:write")
        );
    }
}
