//! Mails that must go out.
