//! The join of tickets and traces.

pub mod notice;
pub mod state;
