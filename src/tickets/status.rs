//! The states of a ticket and the moves between them.

use serde::{Deserialize, Serialize};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "ticket_status", rename_all = "snake_case")]
pub enum TicketStatus {
    /// Staff's turn.
    Open,
    /// Answered: the reporter's turn.
    Pending,
    /// Closed by staff or reporter; a reply opens it again.
    Solved,
    /// Judged spam; kept, out of the queue.
    Spam,
}

impl TicketStatus {
    /// All of them, in the order of the queue's filters.
    pub const ALL: [Self; 4] = [Self::Open, Self::Pending, Self::Solved, Self::Spam];

    /// Reads the name on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The name on the wire and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Solved => "solved",
            Self::Spam => "spam",
        }
    }
}
