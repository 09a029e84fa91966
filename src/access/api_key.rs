//! API keys: `td_` and 48 characters, which are base64url of 32 random bytes and their CRC-32. The checksum tells a
//! typo from a wrong key without asking the database; only a hash of the random bytes is kept. A key for the scripts of
//! pages, where everybody can read it, begins with `td_pub_`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use url::{Origin, Url};

use crate::clock::random_bytes;

const PREFIX: &str = "td_";
const PUBLISHABLE_PREFIX: &str = "td_pub_";
const SECRET_BYTES: usize = 32;
/// Base64url of the secret and its checksum.
const ENCODED_CHARS: usize = (SECRET_BYTES + 4) / 3 * 4;

/// Origins of pages that a publishable key may have: products have a few.
pub const MAX_ORIGINS: usize = 20;

/// Whether a key may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Who has it may do what its scopes say.
    Secret,
    /// It stands in pages, and opens tickets from the origins it is bound to.
    Publishable,
}

impl KeyKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Secret => PREFIX,
            Self::Publishable => PUBLISHABLE_PREFIX,
        }
    }
}

/// Reads an origin as browsers write it: scheme, host, and a port that is not the scheme's own.
///
/// # Errors
/// A sentence saying what an origin looks like.
pub fn parse_origin(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is not an origin such as https://app.example.com");
    let url = Url::parse(text.trim()).map_err(|_unreadable| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match url.origin() {
        Origin::Tuple(scheme, ..) if is_bare && matches!(&*scheme, "http" | "https") => {
            Ok(url.origin().ascii_serialization())
        }
        _ => Err(wrong()),
    }
}

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
    kind: KeyKind,
    secret: [u8; SECRET_BYTES],
}

impl ApiKey {
    /// A fresh random key.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        Self {
            kind,
            secret: random_bytes(),
        }
    }

    /// Reads a key. `None` when it can't be one: wrong prefix, length, letters or checksum.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [KeyKind::Publishable, KeyKind::Secret]
            .into_iter()
            .find_map(|kind| Self::parse_as(kind, text))
    }

    fn parse_as(kind: KeyKind, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(kind.prefix())?;
        if encoded.len() != ENCODED_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (secret, checksum) = bytes.split_at_checked(SECRET_BYTES)?;
        let secret: &[u8; SECRET_BYTES] = secret.try_into().ok()?;
        (checksum == crc32fast::hash(secret).to_be_bytes()).then_some(Self {
            kind,
            secret: *secret,
        })
    }

    /// Whether it may be seen, by its prefix.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as its holder sends it.
    #[must_use]
    pub fn reveal(&self) -> SecretString {
        let mut bytes = self.secret.to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&self.secret).to_be_bytes());
        let prefix = self.kind.prefix();
        SecretString::from(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
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
        for (kind, length) in [(KeyKind::Secret, 51), (KeyKind::Publishable, 55)] {
            let key = ApiKey::generate(kind);
            let text = key.reveal().expose_secret().to_owned();
            assert_eq!(text.len(), length);
            let read = ApiKey::parse(&text).unwrap();
            assert_eq!((read.hash(), read.kind()), (key.hash(), kind));
            for at in 0..text.len() {
                let mut typo = text.clone().into_bytes();
                typo[at] = if typo[at] == b'A' { b'B' } else { b'A' };
                let typo = std::str::from_utf8(&typo).unwrap();
                assert!(ApiKey::parse(typo).is_none(), "typo at {at}");
            }
            assert!(ApiKey::parse(&text[..50]).is_none());
        }
        assert!(ApiKey::parse("").is_none());
    }

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://APP.example.com:443/", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(origin));
        }
        for text in [
            "*",
            "https://*/x",
            "app.example.com",
            "https://a.example/x",
            "null",
            "file:///x",
            "https://a.example?x",
        ] {
            assert!(parse_origin(text).is_err(), "{text}");
        }
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
