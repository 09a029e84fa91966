//! The pages of support staff.

pub mod act;
pub mod answers;
pub mod answers_page;
pub mod candidates_view;
pub mod day_plot;
pub mod failures;
pub mod failures_page;
pub mod mail;
pub mod mail_page;
pub mod queue;
pub mod queue_page;
#[cfg(test)]
mod sample_trace;
pub mod search;
pub mod sign_in;
pub mod sign_in_page;
pub mod span_view;
pub mod ticket;
pub mod ticket_page;
pub mod ticket_view;
pub mod trace;
pub mod trace_page;
pub mod trace_view;
