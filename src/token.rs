//! Unguessable tokens that travel in links and cookies: 32 random bytes in base64url, of which only a hash is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::random_bytes;

/// A token and what is kept of it.
#[derive(Debug, Clone)]
pub struct Token {
    /// What its holder has: 43 characters.
    pub text: String,
    /// SHA-256 of the text.
    pub hash: [u8; 32],
}

impl Token {
    /// A fresh random token.
    #[must_use]
    pub fn generate() -> Self {
        let text = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        Self {
            hash: hash(&text),
            text,
        }
    }
}

/// What is kept of a token that somebody brings. Finding it by this hash gives nothing away by its timing: who
/// does not know the token can't choose the hash.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
