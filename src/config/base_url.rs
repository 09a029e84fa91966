//! The address by which people reach the service.

use url::Url;

/// The public address of the service: `http` or `https`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence saying what an address looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address such as https://support.example.com");
        let url = Url::parse(text).map_err(|_unreadable| wrong())?;
        if !matches!(url.scheme(), "http" | "https")
            || url.path() != "/"
            || url.host().is_none()
            || url.query().is_some()
        {
            return Err(wrong());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The address of a path that starts with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Whether browsers reach it over TLS, so that cookies can be `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Scheme, host and port as browsers write them in `Origin`.
    #[must_use]
    pub fn origin(&self) -> String {
        Url::parse(&self.0).map_or_else(
            |_never| String::new(),
            |url| url.origin().ascii_serialization(),
        )
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_has_no_trailing_slash_and_must_be_http() {
        assert_eq!(
            BaseUrl::parse("https://a.example/").unwrap().join("/x"),
            "https://a.example/x"
        );
        assert_eq!(
            BaseUrl::parse("https://a.example/").unwrap().origin(),
            "https://a.example"
        );
        assert!(BaseUrl::parse("ftp://a.example").is_err());
        assert!(BaseUrl::parse("support.example.com").is_err());
    }
}
