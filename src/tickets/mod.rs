//! Tickets as they are kept.
