//! A ticket's rows as its page shows them.

use chrono::{DateTime, Utc};

use super::ticket_page::{HistoryEntry, NoticeView};
use crate::http::view::{MessageView, When};
use crate::outbox::store::{Mail, MailKind, MailState};
use crate::tickets::event::TicketEventKind;
use crate::tickets::store::{Message, MessageAuthor, TicketEvent};

/// A message, by whom staff know its author: an address where there is one.
#[must_use]
pub fn message_view(message: Message, reporter: Option<&str>, now: DateTime<Utc>) -> MessageView {
    let is_staff = message.author == MessageAuthor::Staff;
    let unnamed = if is_staff {
        "Support"
    } else {
        reporter.unwrap_or("Reporter")
    };
    MessageView {
        author: message.staff_email.unwrap_or_else(|| unnamed.to_owned()),
        is_staff,
        body: message.body,
        sent: When::new(message.created_at, now),
    }
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
    };
    HistoryEntry {
        what: what.to_owned(),
        detail: event.detail,
        who: event.staff_email,
        at: When::new(event.created_at, now),
    }
}
