//! The secret that signs forms and challenges: in the database, so that several nodes and a restart share it.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::{PgPool, query, query_scalar};
use tokio::sync::OnceCell;

use crate::clock::{Clock, random_bytes};

/// Its row in `server_secrets`.
const NAME: &str = "form";

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 32;

/// The key of HMAC-SHA-256.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn mac(&self, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in parts {
            mac.update(part);
        }
        Some(mac)
    }

    /// Signs the parts, one after the other. Of all but the last the length must be fixed.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE_BYTES] {
        // HMAC takes a key of any length.
        self.mac(parts)
            .map(|mac| mac.finalize().into_bytes().into())
            .unwrap_or_default()
    }

    /// Whether this is the signature of the parts, in constant time.
    #[must_use]
    pub fn is_signature(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        self.mac(parts)
            .is_some_and(|mac| mac.verify_slice(signature).is_ok())
    }
}

/// The secret, read from the database when it is first needed. Cheap to clone.
#[derive(Clone, Default)]
pub struct SharedSecret {
    known: Arc<OnceCell<Secret>>,
}

impl SharedSecret {
    /// The secret; made if there is none yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn get(&self, pool: &PgPool, clock: &Clock) -> Result<&Secret, sqlx::Error> {
        self.known.get_or_try_init(|| read(pool, clock)).await
    }
}

async fn read(pool: &PgPool, clock: &Clock) -> Result<Secret, sqlx::Error> {
    let fresh: [u8; 32] = random_bytes();
    // Of nodes that start at the same time the first one's stands.
    query!(
        "INSERT INTO server_secrets (name, secret, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        NAME,
        &fresh[..],
        clock.now(),
    )
    .execute(pool)
    .await?;
    let kept = query_scalar!("SELECT secret FROM server_secrets WHERE name = $1", NAME)
        .fetch_one(pool)
        .await?;
    let bytes = kept
        .try_into()
        .map_err(|_wrong| sqlx::Error::Decode("server_secrets.secret is not 32 bytes".into()))?;
    Ok(Secret(bytes))
}
