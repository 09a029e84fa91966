//! Traces as they are kept, looked up and understood.

pub mod failure;
pub mod ids;
pub mod trace;
