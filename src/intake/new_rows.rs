//! What a report adds to other tables than that of tickets: its link, and the mails that tell of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::report::Report;
use crate::clock::new_id;
use crate::links::resolve::WAIT_FOR_TRACE;
use crate::links::state::LinkState;
use crate::outbox::message::new_message_id;
use crate::outbox::store::MailKind;
use crate::state::AppState;
use crate::tickets::status::TicketStatus;

/// The link's columns at the start.
pub(super) struct NewLink {
    pub(super) state: LinkState,
    pub(super) trace_id: Option<Uuid>,
    pub(super) other_ids: Vec<Uuid>,
    pub(super) span_id: Option<i64>,
    pub(super) typed: Option<String>,
    pub(super) waiting_until: Option<DateTime<Utc>>,
}

impl NewLink {
    pub(super) fn of(report: &Report, now: DateTime<Utc>) -> Self {
        let Some(trace) = report.trace() else {
            return Self {
                state: LinkState::None,
                trace_id: None,
                other_ids: Vec::new(),
                span_id: None,
                typed: None,
                waiting_until: None,
            };
        };
        let mut ids = trace.read.candidates.iter().map(|id| id.as_uuid());
        Self {
            state: LinkState::Waiting,
            trace_id: ids.next(),
            other_ids: ids.collect(),
            span_id: trace.read.span_id.map(crate::traces::ids::SpanId::as_i64),
            typed: Some(trace.typed.clone()),
            waiting_until: Some(now + WAIT_FOR_TRACE),
        }
    }
}

/// The mails' columns.
pub(super) struct NewMails {
    pub(super) ids: Vec<Uuid>,
    pub(super) kinds: Vec<MailKind>,
    pub(super) recipients: Vec<String>,
    pub(super) message_ids: Vec<String>,
}

impl NewMails {
    pub(super) fn of(state: &AppState, report: &Report, status: TicketStatus) -> Self {
        let (kinds, recipients): (Vec<_>, Vec<_>) =
            recipients_of(state, report, status).into_iter().unzip();
        let domain = state.config.mail_from.email.domain();
        Self {
            ids: kinds.iter().map(|_| new_id()).collect(),
            message_ids: kinds.iter().map(|_| new_message_id(domain)).collect(),
            kinds,
            recipients,
        }
    }
}

/// Who hears of a report: staff, and the reporter who left an address. Of spam nobody: the address may be anybody's.
fn recipients_of(
    state: &AppState,
    report: &Report,
    status: TicketStatus,
) -> Vec<(MailKind, String)> {
    if status == TicketStatus::Spam {
        return Vec::new();
    }
    let staff = state
        .config
        .notify
        .iter()
        .map(|mailbox| (MailKind::StaffNotice, mailbox.to_string()));
    let reporter = report
        .email()
        .map(|email| (MailKind::ReportReceived, email.to_owned()));
    staff.chain(reporter).collect()
}
