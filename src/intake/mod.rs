//! Arrival of reports, by form and by API.

pub mod api;
pub mod drafts;
pub mod embed;
pub mod finding;
pub mod form;
pub mod form_again;
pub mod form_page;
mod form_time;
pub mod guard;
pub mod helped;
pub mod lost;
mod new_rows;
pub mod open;
pub mod public_api;
pub mod refusal;
pub mod report;
pub mod ticket;
pub mod ticket_page;
