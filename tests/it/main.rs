//! tracedesk as its users meet it, on a real Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on may panic"
)]

mod access;
mod app;
mod browser;
mod cluster;
mod content;
mod conversation;
mod embedded;
mod failures;
mod files;
mod form;
mod guard;
mod linking;
mod migrations;
mod otlp;
mod outbox;
mod own_traces;
mod proxy;
mod publishable;
mod recovery;
mod reports;
mod roundtrip;
mod sdk;
mod smtp;
mod spans;
mod stores;
mod tidy;
