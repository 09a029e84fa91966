//! Mails that must go out.

pub mod store;
