-- Mails that must go out, one row a recipient, written in the transaction that caused them.

CREATE TYPE mail_kind AS ENUM (
    'staff_notice',     -- to staff: a report came
    'reply_notice',     -- to staff: the reporter wrote again
    'report_received',  -- to the reporter: we have it, and here is its link
    'answered',         -- to the reporter: staff wrote
    'solved'            -- to the reporter: staff closed the ticket
);
CREATE TYPE mail_state AS ENUM (
    'queued',
    'sent',
    'failed'     -- refused for good, or given up after 5 days
);

CREATE TABLE outbox (
    id            uuid        PRIMARY KEY,       -- UUIDv7
    ticket_id     uuid        NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    kind          mail_kind   NOT NULL,
    recipient     text        NOT NULL,
    message_id    text        NOT NULL UNIQUE,   -- made once, so that a repeat can be recognised
    message       uuid        REFERENCES messages (id) ON DELETE CASCADE,  -- the message that it carries, if any
    state         mail_state  NOT NULL,
    due_at        timestamptz NOT NULL,          -- not before; by the database's clock
    awaits_trace  boolean     NOT NULL,          -- due at once when the ticket's trace comes
    attempts      integer     NOT NULL DEFAULT 0,
    lease_id      uuid,                          -- fences: finishing with another lease changes nothing
    leased_until  timestamptz,                   -- by the database's clock
    last_response text,                          -- what the mail server said last
    created_at    timestamptz NOT NULL,
    finished_at   timestamptz
);
-- Serves: the worker's claim of due mails.
CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'queued';
-- Serves: a ticket's mails, and making its waiting ones due.
CREATE INDEX outbox_ticket ON outbox (ticket_id);
-- Serves: Desk > Mail, newest first.
CREATE INDEX outbox_recent ON outbox (created_at DESC, id DESC);
-- Serves: the bound on receipts to one address, in any case of its letters.
CREATE INDEX outbox_receipts ON outbox (lower(recipient), created_at) WHERE kind = 'report_received';
