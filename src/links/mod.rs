//! The join of tickets and traces.

pub mod state;
