//! tracedesk as its users meet it, on a real Postgres.

mod cluster;
mod embedded;
