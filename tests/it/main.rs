//! tracedesk as its users meet it, on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod browser;
mod cluster;
mod embedded;
