//! Traces as they are kept, looked up and understood.

pub mod assemble;
pub mod check;
pub mod classify;
pub mod copy;
pub mod duration_text;
pub mod facts;
pub mod failure;
mod forest;
pub mod ids;
pub mod json;
pub mod otlp;
pub mod part;
pub mod store;
pub mod trace;
mod value;
pub mod waterfall;
pub mod wire;
