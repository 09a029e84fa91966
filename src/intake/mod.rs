//! Arrival of reports, by form and by API.

pub mod api;
pub mod drafts;
pub mod finding;
pub mod form;
pub mod form_page;
pub mod lost;
pub mod open;
pub mod refusal;
pub mod report;
pub mod ticket;
pub mod ticket_page;
