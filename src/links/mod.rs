//! The join of tickets and traces.
