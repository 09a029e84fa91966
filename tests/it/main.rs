//! Tests against real servers, one file a capability.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod outbox;
mod smtp;
