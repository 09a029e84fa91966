//! The states of a link between a ticket and a trace.

use serde::Serialize;

/// Whether the trace was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "link_state", rename_all = "snake_case")]
pub enum LinkState {
    /// No trace ID was given.
    None,
    /// An ID was given, nothing is stored yet.
    Waiting,
    /// The trace is stored and pinned.
    Linked,
    /// Waited out; linked all the same if the trace comes later.
    Missing,
}

impl LinkState {
    /// The name on the wire and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::Linked => "linked",
            Self::Missing => "missing",
        }
    }
}

/// Who said that this trace is the ticket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "link_origin", rename_all = "snake_case")]
pub enum LinkOrigin {
    /// The reporter, by its ID.
    Stated,
    /// A match by page, time and user.
    Suggested,
    /// A member of staff.
    Chosen,
}
