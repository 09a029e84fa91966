//! The one table of URLs.
