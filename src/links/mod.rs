//! The join of tickets and traces.

pub mod resolve;
pub mod state;
pub mod store;
