//! Logs and our own request spans.
