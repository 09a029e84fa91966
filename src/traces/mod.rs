//! Traces as they are kept, looked up and understood.

pub mod duration_text;
pub mod failure;
mod forest;
pub mod ids;
pub mod trace;
pub mod waterfall;
