-- Reports, the tickets they open, what was said and what happened.

-- What failed, as the reporter says.
CREATE TYPE report_kind AS ENUM ('chat', 'upload', 'workflow', 'api', 'other');
-- Through which door the report came.
CREATE TYPE report_source AS ENUM ('form', 'api');

CREATE TYPE ticket_status AS ENUM (
    'open',      -- staff's turn
    'pending',   -- answered: the reporter's turn
    'solved',    -- closed by staff or reporter; a reply opens it again
    'spam'       -- judged spam; kept, out of the queue
);

CREATE TABLE tickets (
    id          uuid          PRIMARY KEY,       -- UUIDv7
    reference   text          NOT NULL UNIQUE,   -- 'TD-' and 6 characters of Crockford base32; never enough to open it
    token_hash  bytea         NOT NULL UNIQUE,   -- SHA-256 of the token in the reporter's link
    status      ticket_status NOT NULL,
    created_at  timestamptz   NOT NULL,
    updated_at  timestamptz   NOT NULL,          -- last change of anything the desk shows
    source      report_source NOT NULL,
    account_id  uuid          REFERENCES accounts (id),  -- whose key sent it; NULL for the form
    kind        report_kind   NOT NULL,
    action      text          NOT NULL,          -- "what you were doing", 3 to 10,000 characters
    page_url    text          NOT NULL,          -- absolute, without credentials
    page_path   text          NOT NULL,          -- its path, to match against trace_parts.page_path
    occurred_at timestamptz   NOT NULL,          -- roughly when
    email       text                             -- where to answer, if given
);
-- Serves: the queue, newest first, and its cursor.
CREATE INDEX tickets_queue ON tickets (created_at DESC, id DESC);
-- Serves: the queue filtered by status.
CREATE INDEX tickets_status ON tickets (status, created_at DESC, id DESC);

CREATE TYPE message_author AS ENUM ('reporter', 'staff');

CREATE TABLE messages (
    id         uuid           PRIMARY KEY,       -- UUIDv7
    ticket_id  uuid           NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    author     message_author NOT NULL,
    staff_id   uuid           REFERENCES staff (id),  -- set when author is staff
    body       text           NOT NULL,
    created_at timestamptz    NOT NULL
);
-- Serves: a ticket's conversation, in order.
CREATE INDEX messages_ticket ON messages (ticket_id, id);

CREATE TYPE ticket_event_kind AS ENUM (
    'opened',        -- the report opened the ticket
    'linked',        -- its trace was found
    'suggested',     -- a trace was linked because page, time and failure fit
    'link_missing',  -- the wait for its trace was over
    'relinked',      -- staff pointed it at another trace
    'unlinked',      -- staff said that the trace is not this ticket's
    'replied',       -- the reporter wrote
    'answered',      -- staff wrote
    'solved',
    'reopened',
    'marked_spam',
    'mail_sent',
    'mail_failed'
);

-- History: append only.
CREATE TABLE ticket_events (
    id         uuid              PRIMARY KEY,    -- UUIDv7
    ticket_id  uuid              NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    kind       ticket_event_kind NOT NULL,
    staff_id   uuid              REFERENCES staff (id),  -- who, when it was staff
    detail     text,                             -- one line for the history, e.g. a trace ID or a recipient
    created_at timestamptz       NOT NULL
);
-- Serves: a ticket's history, in order.
CREATE INDEX ticket_events_ticket ON ticket_events (ticket_id, id);

-- First answers to requests with an Idempotency-Key, written in the transaction that opened the ticket.
CREATE TABLE idempotency_keys (
    api_key_id  uuid        NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    key         text        NOT NULL,            -- the header's value
    fingerprint bytea       NOT NULL,            -- SHA-256 of the request body
    status      smallint    NOT NULL,
    location    text        NOT NULL,
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL,            -- forgotten after 24 hours
    PRIMARY KEY (api_key_id, key)
);
-- Serves: the hourly sweep of old keys.
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
