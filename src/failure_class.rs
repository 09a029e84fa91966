//! The kinds of failure that a trace can show: words of the whole house.

use serde::{Deserialize, Serialize};

/// What kind of failure a trace shows (DESIGN.md section 2). A trace without one has `Option::None`, written `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "failure_class", rename_all = "snake_case")]
pub enum FailureClass {
    /// A quota, storage cap or credit balance was used up.
    PlanLimit,
    /// The message is over the model's or the product's prompt limit.
    PromptTooLong,
    /// A document did not process.
    DocumentFailed,
    /// HTTP 413.
    UploadTooLarge,
    /// HTTP 401 or 403.
    Unauthorized,
    /// HTTP 429.
    RateLimited,
    /// The model's provider failed or was overloaded.
    ProviderError,
    /// A deadline passed.
    Timeout,
    /// Anything else that failed: the product's own bug.
    InternalError,
    /// The caller went away.
    Cancelled,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::PlanLimit,
        Self::PromptTooLong,
        Self::DocumentFailed,
        Self::UploadTooLarge,
        Self::Unauthorized,
        Self::RateLimited,
        Self::ProviderError,
        Self::Timeout,
        Self::InternalError,
        Self::Cancelled,
    ];

    /// The class of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The name on the wire and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlanLimit => "plan_limit",
            Self::PromptTooLong => "prompt_too_long",
            Self::DocumentFailed => "document_failed",
            Self::UploadTooLarge => "upload_too_large",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::ProviderError => "provider_error",
            Self::Timeout => "timeout",
            Self::InternalError => "internal_error",
            Self::Cancelled => "cancelled",
        }
    }

    /// A few words for people who are not engineers.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PlanLimit => "Plan limit reached",
            Self::PromptTooLong => "Message too long",
            Self::DocumentFailed => "Document did not process",
            Self::UploadTooLarge => "Upload too large",
            Self::Unauthorized => "Not signed in or not allowed",
            Self::RateLimited => "Too many requests",
            Self::ProviderError => "Provider failed",
            Self::Timeout => "Took too long",
            Self::InternalError => "Internal error",
            Self::Cancelled => "Cancelled",
        }
    }

    /// What the reporter can do about it, in one or two sentences. Names nothing internal.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::PlanLimit => {
                "You reached a limit of your plan. Retrying does not help: wait for the reset, or upgrade the plan."
            }
            Self::PromptTooLong => {
                "The message was over the prompt limit. Add the long text as a document, then ask about it."
            }
            Self::DocumentFailed => {
                "The document could not be processed. Check that it opens and is not locked, then upload it again."
            }
            Self::UploadTooLarge => {
                "The file is over the size cap. Split or compress it, then upload it again."
            }
            Self::Unauthorized => {
                "The request was not allowed. Sign in again, or check that the API key is complete and not revoked."
            }
            Self::RateLimited => {
                "Too many requests in a short time. Wait a minute, then try again more slowly."
            }
            Self::ProviderError => {
                "The model's provider failed or was overloaded. Switching the model usually fixes this."
            }
            Self::Timeout => {
                "The action took too long and was stopped. Try again, with less at once if you can."
            }
            Self::InternalError => {
                "Something failed on our side. We have the details and are looking at it."
            }
            Self::Cancelled => {
                "The action was stopped before it finished. Start it again and let it run."
            }
        }
    }
}
