//! HTTP plumbing without business.

pub mod assets;
pub mod body;
pub mod error;
pub mod page;
pub mod view;
