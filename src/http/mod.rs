//! HTTP plumbing without business.

pub mod assets;
pub mod body;
pub mod budget;
pub mod client_ip;
pub mod csrf;
pub mod cursor;
pub mod error;
pub mod form;
pub mod health;
pub mod page;
pub mod picture;
pub mod rate_limit;
pub mod reader;
pub mod theme;
pub mod view;
