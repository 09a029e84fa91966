//! The tracedesk program.

fn main() {}
