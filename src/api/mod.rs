//! JSON reads for programs.

pub mod tickets;
pub mod traces;
