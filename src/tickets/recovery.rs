//! What a reporter tried before writing.

use serde::Serialize;

/// A move of the recovery flow before support is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "recovery_step", rename_all = "snake_case")]
pub enum RecoveryStep {
    /// The same again.
    Retry,
    /// With another model.
    Switch,
}

impl RecoveryStep {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::Retry, Self::Switch];

    /// The name on the wire and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Switch => "switch",
        }
    }

    /// For staff: what did not help.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Switch => "switched the model",
        }
    }

    /// For staff, in a sentence: `retried, switched the model`.
    #[must_use]
    pub fn list(steps: &[Self]) -> String {
        let labels: Vec<_> = steps.iter().map(|step| step.label()).collect();
        labels.join(", ")
    }
}
