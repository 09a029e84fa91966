//! Tickets as they are kept.

pub mod attachment;
pub mod attachment_view;
pub mod event;
pub mod kind;
pub mod message;
pub mod recovery;
pub mod reference;
pub mod status;
pub mod store;
