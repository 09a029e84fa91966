//! tracedesk joins support reports to the OpenTelemetry traces of what happened.
//!
//! Two arrivals, two keeps, one join, one exit:
//!
//! - a report arrives by [`intake`] and is kept in [`tickets`];
//! - spans arrive by [`ingest`] and are kept in [`traces`];
//! - [`links`] joins the two, whichever comes first;
//! - [`outbox`] mails what must go out.
//!
//! People and programs look in through [`desk`] (staff), [`api`] (JSON) and the form in [`intake`]; [`access`] knows
//! who they are. [`server`] is the one table of URLs, [`workers`] the one list of background tasks.
//! ARCHITECTURE.md has the walkthroughs.

pub mod clock;
pub mod config;
pub mod content;
pub mod db;
pub mod failure_class;
pub mod failure_rule;
pub mod token;
pub mod trace_context;

pub mod http;
pub mod outbox;
pub mod tickets;
pub mod traces;

pub mod access;
pub mod help;
pub mod links;

pub mod api;
pub mod desk;
pub mod ingest;
pub mod intake;

pub mod limits;
pub mod server;
pub mod state;
pub mod telemetry;
pub mod workers;

pub mod cli;
