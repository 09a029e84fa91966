//! What can be asked "Was this helpful?" of.

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "help_answer")]
pub enum HelpAnswer {
    /// Where to find the trace ID.
    #[sqlx(rename = "trace_id")]
    TraceId,
    /// A plan limit.
    #[sqlx(rename = "plan_limit")]
    PlanLimit,
    /// A message over the prompt limit.
    #[sqlx(rename = "prompt_limit")]
    PromptLimit,
    /// A document that did not process.
    #[sqlx(rename = "document")]
    Document,
    /// The API's 401.
    #[sqlx(rename = "api_401")]
    Api401,
    /// The API's 413.
    #[sqlx(rename = "api_413")]
    Api413,
    /// The API's 429.
    #[sqlx(rename = "api_429")]
    Api429,
    /// The API's 5xx.
    #[sqlx(rename = "api_5xx")]
    Api5xx,
    /// What was said of a trace.
    #[sqlx(rename = "finding")]
    Finding,
    /// What staff answered.
    #[sqlx(rename = "support")]
    Support,
}

impl HelpAnswer {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 10] = [
        Self::TraceId,
        Self::PlanLimit,
        Self::PromptLimit,
        Self::Document,
        Self::Api401,
        Self::Api413,
        Self::Api429,
        Self::Api5xx,
        Self::Finding,
        Self::Support,
    ];

    /// The name on the wire and in Postgres.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::PlanLimit => "plan_limit",
            Self::PromptLimit => "prompt_limit",
            Self::Document => "document",
            Self::Api401 => "api_401",
            Self::Api413 => "api_413",
            Self::Api429 => "api_429",
            Self::Api5xx => "api_5xx",
            Self::Finding => "finding",
            Self::Support => "support",
        }
    }

    /// The answer of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| answer.as_str() == name)
    }

    /// For staff.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TraceId => "Where to find the trace ID",
            Self::PlanLimit => "At a plan limit",
            Self::PromptLimit => "Over the prompt limit",
            Self::Document => "A document didn't process",
            Self::Api401 => "API error 401",
            Self::Api413 => "API error 413",
            Self::Api429 => "API error 429",
            Self::Api5xx => "API error 5xx",
            Self::Finding => "Advice from the trace",
            Self::Support => "Answers of support",
        }
    }
}

/// Yes or no to one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// To which.
    pub answer: HelpAnswer,
    /// Whether it was helpful.
    pub is_helpful: bool,
}

impl Vote {
    /// Reads `plan_limit-yes`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (answer, vote) = text.rsplit_once('-')?;
        let is_helpful = match vote {
            "yes" => true,
            "no" => false,
            _ => return None,
        };
        let answer = HelpAnswer::named(answer)?;
        Some(Self { answer, is_helpful })
    }

    /// Whether it was helpful, as [`Vote::parse`] reads it.
    #[must_use]
    pub fn word(self) -> &'static str {
        if self.is_helpful { "yes" } else { "no" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_read_as_they_are_written() {
        for answer in HelpAnswer::ALL {
            for is_helpful in [true, false] {
                let vote = Vote { answer, is_helpful };
                let text = format!("{}-{}", answer.as_str(), vote.word());
                assert_eq!(Vote::parse(&text), Some(vote));
            }
        }
        for text in ["", "plan_limit", "plan_limit-maybe", "nothing-yes", "-yes"] {
            assert_eq!(Vote::parse(text), None, "{text}");
        }
    }
}
