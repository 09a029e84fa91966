//! What people see and do, in real headless Chromium.

pub(crate) mod driver;
