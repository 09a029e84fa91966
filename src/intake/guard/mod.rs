//! Keeps spam off the desk without keeping anybody out: signs are weighed, and what they speak against is kept as spam,
//! for staff to see. The sender can't tell.

pub mod judge;
pub mod proof;
pub mod seal;
pub mod secret;
