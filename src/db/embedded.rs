//! The embedded Postgres.
