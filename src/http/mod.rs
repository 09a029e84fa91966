//! HTTP plumbing without business.

pub mod body;
pub mod error;
