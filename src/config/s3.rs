//! Where screenshots are kept when that is not Postgres.

use secrecy::SecretString;
use url::Url;

/// A bucket of a store that speaks S3, and how to get in. What is `None` is looked for where AWS's own programs look:
/// further variables, the container, the machine.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// In front of each object's key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The store, if it is not AWS's.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Who we are.
    pub access_key_id: Option<String>,
    /// And its proof.
    pub secret_access_key: Option<SecretString>,
}

impl S3Config {
    /// Whether the store is reached without TLS, as one on the same machine is.
    #[must_use]
    pub fn allows_http(&self) -> bool {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        endpoint.starts_with("http://")
    }
}

/// Reads `postgres`, or bucket and prefix of `s3://bucket/prefix`.
pub(super) fn place(text: &str) -> Result<Option<(String, String)>, String> {
    if text == "postgres" {
        return Ok(None);
    }
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "s3");
    let bucket = url.as_ref().and_then(|url| url.host_str());
    match (bucket, &url) {
        (Some(bucket), Some(url)) if url.query().is_none() && url.port().is_none() => {
            let prefix = url.path().trim_matches('/').to_owned();
            Ok(Some((bucket.to_owned(), prefix)))
        }
        _ => Err(format!(
            "{text:?} is neither postgres nor an address such as s3://bucket/folder"
        )),
    }
}

/// Reads the address of a store; empty is AWS's own.
pub(super) fn endpoint(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let is_web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_web {
        Ok(Some(text.trim_end_matches('/').to_owned()))
    } else {
        Err(format!(
            "{text:?} is not an address such as https://s3.example.com"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_read_with_their_prefix() {
        let named = |bucket: &str, prefix: &str| Ok(Some((bucket.to_owned(), prefix.to_owned())));
        assert_eq!(place("postgres"), Ok(None));
        assert_eq!(place("s3://shots"), named("shots", ""));
        assert_eq!(place("s3://shots/a/b/"), named("shots", "a/b"));
        for text in ["s3://", "shots", "https://shots/x", "s3://shots?x=1"] {
            assert!(place(text).is_err(), "{text}");
        }
        assert!(endpoint("s3.example.com").is_err() && endpoint("ftp://x").is_err());
    }
}
