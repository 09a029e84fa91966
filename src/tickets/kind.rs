//! What can fail, in the words of the form.

/// What failed, as the reporter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "report_kind", rename_all = "snake_case")]
pub enum ReportKind {
    /// A chat did not answer.
    Chat,
    /// An upload did not go through.
    Upload,
    /// A workflow stopped.
    Workflow,
    /// A call of the product's API failed.
    Api,
    /// Anything else.
    Other,
}

impl ReportKind {
    /// All kinds, in the order of the form.
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::Upload,
        Self::Workflow,
        Self::Api,
        Self::Other,
    ];

    /// For staff.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Upload => "Upload",
            Self::Workflow => "Workflow",
            Self::Api => "API",
            Self::Other => "Something else",
        }
    }

    /// The name on the wire and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Upload => "upload",
            Self::Workflow => "workflow",
            Self::Api => "api",
            Self::Other => "other",
        }
    }
}
