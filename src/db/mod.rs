//! Connections, migrations, and the embedded Postgres.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

pub mod embedded;
pub mod shared;

/// How long a request waits for a free connection. Longer than any statement of ours takes, shorter than a client's
/// patience: whoever waited this long is told to come back (503) rather than left hanging.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection idle for longer is asked whether it still lives before a request gets it. sqlx asks each one when it
/// comes back, so of those just returned only a server that died this moment is missed; and asking every time costs
/// every request a round trip.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// The schema, one for the whole program and its tests: each copy would hold every migration's text again.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// SQLSTATE classes (PostgreSQL manual, appendix A) of a server that cannot be reached or is out of resources.
const UNAVAILABLE_CLASSES: [&str; 2] = [
    "08", // connection exception
    "53", // insufficient resources: disk full, out of memory, too many connections
];

/// SQLSTATEs of a server that is going, coming or no longer the one that takes writes.
const UNAVAILABLE_CODES: [&str; 6] = [
    "57P01", // admin_shutdown
    "57P02", // crash_shutdown
    "57P03", // cannot_connect_now: starting up, shutting down, recovering
    "57P04", // database_dropped
    "57P05", // idle_session_timeout
    "25006", // read_only_sql_transaction: connected to what is a standby since a failover
];

/// Opens a pool of at most `max_connections`, with one connection made at once to show that the server is there.
///
/// # Errors
/// When the server cannot be reached, refuses the sign-in, or does not answer within [`ACQUIRE_TIMEOUT`].
pub async fn connect(
    options: PgConnectOptions,
    max_connections: u32,
) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Brings the schema up to date, once however many nodes start together: the others wait for the migration lock.
///
/// That lock belongs to the session, so `connection` must lead to the server itself and not through a pooler that
/// shares sessions among transactions.
///
/// # Errors
/// When a migration fails, or the database has migrations that this program does not know (a newer one ran there).
pub async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    MIGRATOR.run(connection).await
}

/// Whether the database could not be had at all, so that the same request may succeed later: to a client that is 503
/// with `Retry-After`, not 500.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            UNAVAILABLE_CODES.contains(&&*code)
                || UNAVAILABLE_CLASSES
                    .iter()
                    .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;
    use std::io;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An error of the server's with nothing but its SQLSTATE.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Coded(&'static str);

    impl DatabaseError for Coded {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(Cow::Borrowed(self.0))
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn codes_of_an_unavailable_server_are_told_from_those_of_a_bad_statement() {
        let table = [
            ("08000", true),
            ("08006", true),
            ("53100", true),
            ("53300", true),
            ("57P01", true),
            ("57P02", true),
            ("57P03", true),
            ("57P04", true),
            ("57P05", true),
            ("25006", true),
            ("57014", false), // query_canceled: a statement timeout would time out again
            ("23505", false), // unique_violation
            ("40001", false), // serialization_failure: the transaction is retried, not the request
            ("42P01", false), // undefined_table
            ("22021", false), // a NUL in text
            ("XX000", false),
        ];
        for (code, unavailable) in table {
            let error = sqlx::Error::Database(Box::new(Coded(code)));
            assert_eq!(is_unavailable(&error), unavailable, "{code}");
        }
    }

    #[test]
    fn failures_of_the_connection_are_told_from_those_of_the_program() {
        assert!(is_unavailable(&sqlx::Error::Io(io::Error::from(
            io::ErrorKind::ConnectionRefused
        ))));
        assert!(is_unavailable(&sqlx::Error::PoolTimedOut));
        assert!(is_unavailable(&sqlx::Error::PoolClosed));
        assert!(is_unavailable(&sqlx::Error::WorkerCrashed));
        assert!(!is_unavailable(&sqlx::Error::RowNotFound));
        assert!(!is_unavailable(&sqlx::Error::ColumnNotFound(
            "id".to_owned()
        )));
    }
}
