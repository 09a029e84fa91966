//! tracedesk as its users meet it, on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod app;
mod browser;
mod cluster;
mod embedded;
mod outbox;
mod smtp;
