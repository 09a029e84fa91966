//! Passwords of staff: argon2id, off the request threads, and never more than a few at a time.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::clock::random_bytes;

/// Shortest password taken when staff choose their own.
pub const MIN_PASSWORD_CHARS: usize = 10;
/// Longest: hashing megabytes would be a way to keep the service busy.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// Hashes at a time: 19 MiB each, so 38 MiB of memory and two cores at most.
static AT_A_TIME: Semaphore = Semaphore::const_new(2);
/// A hash with the same parameters as real ones, of a password that nobody has: an unknown address takes as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE";

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error(
        "a password has at least {MIN_PASSWORD_CHARS} characters and at most {MAX_PASSWORD_BYTES} bytes"
    )]
    Length,
    /// The hasher failed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

/// A fresh password of 16 random bytes: 22 characters, to be shown once.
#[must_use]
pub fn generate() -> SecretString {
    SecretString::from(URL_SAFE_NO_PAD.encode(random_bytes::<16>()))
}

/// Hashes a password into a PHC string.
///
/// # Errors
/// [`PasswordError`].
pub fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let password = password.expose_secret();
    if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::Length);
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

/// Whether this is the password. `None` for an address that nobody has: it takes the same time and is never true.
#[tracing::instrument(name = "check password", skip_all)]
pub async fn verify(password: SecretString, hash: Option<String>) -> bool {
    if password.expose_secret().len() > MAX_PASSWORD_BYTES {
        return false;
    }
    let Ok(_turn) = AT_A_TIME.acquire().await else {
        return false;
    };
    let checked = tokio::task::spawn_blocking(move || {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let matches = PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.expose_secret().as_bytes(), &hash)
                .is_ok()
        });
        matches && is_somebody
    });
    checked.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_is_known_and_no_other() {
        let password = generate();
        let stored = hash(&password).unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(verify(password.clone(), Some(stored.clone())).await);
        assert!(!verify(SecretString::from("another password"), Some(stored)).await);
        assert!(!verify(password, None).await);
    }

    #[test]
    fn the_hash_of_nobody_has_real_parameters() {
        assert!(PasswordHash::new(NOBODY).is_ok());
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(hash(&SecretString::from("short")).is_err());
        assert!(hash(&SecretString::from("x".repeat(MAX_PASSWORD_BYTES + 1))).is_err());
    }
}
