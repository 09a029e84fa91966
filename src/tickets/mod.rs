//! Tickets as they are kept.

pub mod event;
pub mod status;
