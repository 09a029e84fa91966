//! A ticket and its trace as the API shows them (DESIGN.md section 3).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::state::LinkState;
use super::store::Link;
use crate::failure_rule::FailureRules;
use crate::tickets::status::TicketStatus;
use crate::traces::failure::FailureClass;
use crate::traces::ids::TraceId;

/// The fields that every form of a ticket begins with.
#[derive(Debug, Serialize)]
pub struct TicketJson<'a> {
    id: Uuid,
    reference: &'a str,
    status: TicketStatus,
    created_at: String,
}

impl<'a> TicketJson<'a> {
    /// A ticket in this state.
    #[must_use]
    pub fn new(
        id: Uuid,
        reference: &'a str,
        status: TicketStatus,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            reference,
            status,
            created_at: rfc3339(created_at),
        }
    }
}

/// The trace of a ticket: its ID or `null`, how far the link got, what went wrong.
#[derive(Debug, Serialize)]
pub struct TraceJson {
    id: Option<TraceId>,
    state: LinkState,
    failure: Option<FailureJson>,
}

#[derive(Debug, Serialize)]
struct FailureJson {
    class: FailureClass,
    advice: String,
}

impl TraceJson {
    /// The trace of a stored link.
    #[must_use]
    pub fn of(link: &Link, rules: &FailureRules) -> Self {
        let rule = link.failure_rule.as_deref();
        let failure = link.failure_class.map(|class| (class, rule));
        Self::listed(link.trace_id, link.state, failure, rules)
    }

    /// The trace of a ticket in a list; `failure` with the rule that gave its class.
    #[must_use]
    pub fn listed(
        id: Option<Uuid>,
        state: LinkState,
        failure: Option<(FailureClass, Option<&str>)>,
        rules: &FailureRules,
    ) -> Self {
        let failure = failure.map(|(class, rule)| FailureJson {
            class,
            advice: rules.english_advice(class, rule),
        });
        Self {
            id: id.and_then(TraceId::from_uuid),
            state,
            failure,
        }
    }

    /// A trace that was just stated.
    #[must_use]
    pub fn stated(id: Option<TraceId>) -> Self {
        let state = if id.is_some() {
            LinkState::Waiting
        } else {
            LinkState::None
        };
        Self {
            id,
            state,
            failure: None,
        }
    }
}

/// The trace of a ticket, for whoever reported: no ID that they did not give.
#[derive(Debug, Serialize)]
pub struct PublicTraceJson {
    state: LinkState,
    failure: Option<FailureJson>,
}

impl PublicTraceJson {
    /// The trace of a link, or of a report whose ID is being looked for, or has none.
    #[must_use]
    pub fn new(link: Option<&Link>, is_stated: bool, rules: &FailureRules) -> Self {
        let TraceJson { state, failure, .. } = link.map_or_else(
            || TraceJson::stated(None),
            |link| TraceJson::of(link, rules),
        );
        let state = match (state, is_stated) {
            (LinkState::None, true) => LinkState::Waiting,
            (state, _) => state,
        };
        Self { state, failure }
    }
}

/// A time on the wire: UTC with microseconds.
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
