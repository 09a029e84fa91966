//! Arrival of reports, by form and by API.

pub mod form_page;
pub mod ticket_page;
