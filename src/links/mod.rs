//! The join of tickets and traces.

pub mod json;
pub mod notice;
pub mod render;
pub mod resolve;
pub mod state;
pub mod store;
pub mod tickets;
pub mod trace_ref;
