//! Tickets as they are kept.

pub mod attachment;
pub mod attachment_view;
pub mod drafts;
pub mod event;
pub mod message;
pub mod reference;
pub mod screenshot;
pub mod spam;
pub mod status;
pub mod store;
