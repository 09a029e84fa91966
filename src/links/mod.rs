//! The join of tickets and traces.

pub mod candidates;
pub mod conversation;
pub mod failures;
pub mod json;
pub mod lost;
pub mod notice;
pub mod queue;
pub mod recovery;
pub mod render;
pub mod reporter_mail;
pub mod resolve;
pub mod span_search;
pub mod state;
pub mod store;
pub mod suggest;
pub mod tickets;
pub mod trace_ref;
pub mod unlinked;
