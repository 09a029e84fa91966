//! Tickets as they are kept.

pub mod attachment;
pub mod attachment_view;
pub mod blob_store;
pub mod blobs;
pub mod change;
pub mod conversation;
pub mod drafts;
pub mod event;
pub mod kind;
pub mod message;
pub mod message_view;
pub mod rating;
pub mod recovery;
pub mod reference;
pub mod reply;
pub mod screenshot;
pub mod spam;
pub mod status;
pub mod store;
pub mod work;
