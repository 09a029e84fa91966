//! The join of tickets and traces.

pub mod trace_ref;
