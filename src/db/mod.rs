//! Connections, migrations, and the embedded Postgres.

pub mod embedded;
