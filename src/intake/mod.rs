//! Arrival of reports, by form and by API.

pub mod api;
pub mod drafts;
pub mod fields;
pub mod finding;
pub mod form;
pub mod form_page;
pub mod open;
pub mod refusal;
pub mod report;
pub mod screenshot;
pub mod ticket;
pub mod ticket_page;
