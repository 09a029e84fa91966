//! The join of tickets and traces.

pub mod candidates;
pub mod json;
pub mod notice;
pub mod render;
pub mod resolve;
pub mod state;
pub mod store;
pub mod suggest;
pub mod tickets;
pub mod trace_ref;
