//! HTTP plumbing without business.

pub mod assets;
pub mod page;
pub mod view;
