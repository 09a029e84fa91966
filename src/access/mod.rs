//! Who is calling: staff by session, programs by API key.

pub mod api_key;
pub mod extract;
pub mod password;
pub mod session;
pub mod store;
