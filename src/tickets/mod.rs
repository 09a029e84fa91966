//! Tickets as they are kept.

pub mod status;
