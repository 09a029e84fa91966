//! A ticket's rows as its page shows them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ticket_page::{HistoryEntry, NoticeView, TicketPage, TracePanel};
use crate::access::extract::Staff;
use crate::access::store::Colleague;
use crate::http::page::Frame;
use crate::http::view::When;
use crate::links::state::{LinkOrigin, LinkState};
use crate::links::store::Link;
use crate::outbox::listed::Mail;
use crate::outbox::store::{MailKind, MailState};
use crate::tickets::attachment::AttachmentInfo;
use crate::tickets::attachment_view::ScreenshotView;
use crate::tickets::change::Undoable;
use crate::tickets::conversation::{Message, MessageAuthor};
use crate::tickets::event::TicketEventKind;
use crate::tickets::message_view::{MessageView, ReplyForm};
use crate::tickets::recovery::RecoveryStep;
use crate::tickets::store::{Ticket, TicketEvent};
use crate::traces::ids::TraceId;

/// All rows that a ticket's page shows.
#[derive(Debug)]
pub struct TicketRows {
    /// The ticket.
    pub ticket: Ticket,
    /// Its link.
    pub link: Link,
    /// Its conversation, notes among staff included.
    pub messages: Vec<Message>,
    /// Its history.
    pub events: Vec<TicketEvent>,
    /// Its screenshots.
    pub screenshots: Vec<AttachmentInfo>,
    /// Its mails.
    pub mails: Vec<Mail>,
}

/// Who works on the ticket, and who may.
#[derive(Debug, Clone)]
pub struct WorkView {
    /// Who works on it: their address.
    pub assignee: Option<String>,
    /// Whether that is the reader.
    pub is_mine: bool,
    /// The reader's ID.
    pub me: String,
    /// Whom it may be given to: ID, address, whether they have it.
    pub colleagues: Vec<(String, String, bool)>,
    /// The revision that the reader sees.
    pub revision: i32,
}

impl WorkView {
    /// As `staff` sees it.
    #[must_use]
    pub fn new(ticket: &Ticket, staff: &Staff, colleagues: Vec<Colleague>) -> Self {
        let has_it = |id: Uuid| ticket.assignee_id == Some(id);
        Self {
            assignee: ticket.assignee.clone(),
            is_mine: has_it(staff.id()),
            me: staff.id().to_string(),
            colleagues: colleagues
                .into_iter()
                .map(|one| (one.id.to_string(), one.email, has_it(one.id)))
                .collect(),
            revision: ticket.revision,
        }
    }
}

/// What the reader did a moment ago and may take back.
#[derive(Debug, Clone)]
pub struct DoneView {
    /// The entry in the history.
    pub event_id: String,
    /// What was done, in words.
    pub what: &'static str,
}

impl DoneView {
    /// What can be undone.
    #[must_use]
    pub fn new(event_id: Uuid, undoable: &Undoable) -> Self {
        Self {
            event_id: event_id.to_string(),
            what: match undoable.kind {
                TicketEventKind::Solved => {
                    "Solved. If the reporter left an address, a mail says so in a few seconds."
                }
                TicketEventKind::Reopened => "Opened again.",
                TicketEventKind::MarkedSpam => "Marked as spam. It is out of the queue.",
                TicketEventKind::NotSpam => "Not spam. It is back in the queue.",
                TicketEventKind::Unassigned => "Nobody has this ticket now.",
                _ => "Assigned.",
            },
        }
    }
}

impl TicketPage {
    /// The page as far as the rows tell; the caller sets the rest.
    #[must_use]
    pub fn of_rows(rows: TicketRows, now: DateTime<Utc>) -> Self {
        let TicketRows { ticket, link, .. } = rows;
        let href = format!("/desk/tickets/{}", ticket.id);
        let shots = format!("{href}/screenshots");
        let message_view = |message: Message| {
            let author = author_of(&message, ticket.email.as_deref());
            let sent = When::new(message.created_at, now);
            MessageView::new(message, author, sent, &shots, &rows.screenshots)
        };
        let mails = rows.mails.into_iter();
        let events = rows.events.into_iter();
        Self {
            frame: Frame::default(),
            messages: rows.messages.into_iter().map(message_view).collect(),
            screenshots: ScreenshotView::of(&shots, &rows.screenshots, None),
            notices: mails.filter_map(|mail| notice_view(mail, now)).collect(),
            history: events.map(|event| history_entry(event, now)).collect(),
            href,
            reference: ticket.reference,
            status: ticket.status,
            kind: ticket.kind,
            source: ticket.source,
            spam_signs: ticket.spam_signs,
            action: ticket.action,
            page_url: ticket.page_url,
            occurred: When::new(ticket.occurred_at, now),
            created: When::new(ticket.created_at, now),
            email: ticket.email,
            language: None,
            tried: RecoveryStep::list(&ticket.tried),
            typed_trace: link.typed,
            recovered: link
                .recovered_at
                .zip(link.recovered_trace_id)
                .map(|(at, trace)| {
                    let trace_id =
                        TraceId::from_uuid(trace).map_or_else(String::new, |id| id.to_string());
                    (When::new(at, now), format!("/desk/traces/{trace_id}"))
                }),
            is_suggested: link.state == LinkState::Linked && link.origin == LinkOrigin::Suggested,
            work: WorkView {
                assignee: None,
                is_mine: false,
                me: String::new(),
                colleagues: Vec::new(),
                revision: ticket.revision,
            },
            done: None,
            is_overtaken: false,
            overtaken: Vec::new(),
            reply: ReplyForm::default(),
            link_form: super::ticket_page::LinkForm::default(),
            trace: TracePanel::None,
            others: None,
            candidates: Vec::new(),
        }
    }
}

/// By whom staff know an author: an address where there is one.
fn author_of(message: &Message, reporter: Option<&str>) -> String {
    let unnamed = match message.author {
        MessageAuthor::Staff => "Support",
        MessageAuthor::Reporter => reporter.unwrap_or("Reporter"),
    };
    message
        .staff_email
        .clone()
        .unwrap_or_else(|| unnamed.to_owned())
}

/// Shown are the notices of the ticket itself, and of the later mails those that need someone.
#[must_use]
pub fn notice_view(mail: Mail, now: DateTime<Utc>) -> Option<NoticeView> {
    let kind = match mail.kind {
        MailKind::StaffNotice => "Notice",
        _ if mail.state == MailState::Failed => "Mail",
        _ => return None,
    };
    Some(NoticeView {
        kind,
        at: When::new(mail.finished_at.unwrap_or(mail.due_at), now),
        recipient: mail.recipient,
        state: mail.state.into(),
    })
}

/// What happened, in words.
#[must_use]
pub fn history_entry(event: TicketEvent, now: DateTime<Utc>) -> HistoryEntry {
    let what = match event.kind {
        TicketEventKind::Opened => "Opened by the report",
        TicketEventKind::Linked => "Linked to its trace",
        TicketEventKind::Suggested => "Linked to a trace that fits",
        TicketEventKind::Unlinked => "Trace taken away: not this one",
        TicketEventKind::LinkMissing => "No spans came for the trace ID",
        TicketEventKind::Relinked => "Pointed at another trace",
        TicketEventKind::Replied => "The reporter wrote",
        TicketEventKind::Answered => "Answered",
        TicketEventKind::Solved => "Solved",
        TicketEventKind::Reopened => "Opened again",
        TicketEventKind::MarkedSpam => "Marked as spam",
        TicketEventKind::NotSpam => "Not spam",
        TicketEventKind::MailSent => "Mail sent",
        TicketEventKind::MailFailed => "Mail failed",
        TicketEventKind::Noted => "Noted among staff",
        TicketEventKind::Assigned => "Assigned to",
        TicketEventKind::Unassigned => "Assigned to nobody",
        TicketEventKind::Undone => "Taken back:",
        TicketEventKind::Rated => "The reporter found an answer",
        TicketEventKind::Recovered => "A later try of the same user worked",
    };
    HistoryEntry {
        what: what.to_owned(),
        detail: event.detail,
        who: event.staff_email,
        at: When::new(event.created_at, now),
    }
}
