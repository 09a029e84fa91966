//! The exit: mails that must go out, one row a recipient, written in the transaction that caused them.
//!
//! [`deliver`] takes due rows, has them rendered, sends them by [`mailer`] and writes down what became of them in
//! [`store`]. What a mail says is the caller's: the worker takes the renderer as an argument.

pub mod admission;
pub mod backoff;
pub mod deliver;
pub mod listed;
pub mod mailer;
pub mod message;
pub mod store;
