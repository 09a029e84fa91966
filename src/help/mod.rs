//! What the start page helped with: counted by day, with nothing of the person.

pub mod answer;
pub mod store;
