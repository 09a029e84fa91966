-- The join: which trace a ticket is about.

CREATE TYPE link_state AS ENUM (
    'none',      -- no trace ID was given
    'waiting',   -- given, nothing stored yet
    'linked',
    'missing'    -- waited out; still linked if the trace comes after all
);
CREATE TYPE link_origin AS ENUM (
    'stated',     -- the reporter gave the ID
    'suggested',  -- page, time and failure fit
    'chosen'      -- staff said so
);

CREATE TABLE links (
    ticket_id           uuid        PRIMARY KEY REFERENCES tickets (id) ON DELETE CASCADE,
    state               link_state  NOT NULL,
    origin              link_origin NOT NULL,
    trace_id            uuid,                    -- the linked trace, or the best reading of what was typed
    other_ids           uuid[]      NOT NULL,    -- further readings (a decimal ID may also be hex); emptied when linked
    span_id             bigint,                  -- when 16 hex digits were typed they may be a span's ID
    rejected_ids        uuid[]      NOT NULL DEFAULT '{}',  -- traces that staff said are not this ticket's
    typed               text,                    -- what the reporter typed, as typed
    waiting_until       timestamptz,             -- when a waiting link becomes missing
    linked_at           timestamptz,
    failure_class       failure_class,           -- of the whole trace, as of the last part that came
    failure_fingerprint bigint,
    failing_span_id     bigint,
    failing_service     text,
    failing_span        text,                    -- its name
    failure_message     text,
    failed_at           timestamptz,             -- start of the failing span
    CHECK ((state = 'none') = (trace_id IS NULL))
);
-- Serves: ingest's look for tickets of the traces that were just stored.
CREATE INDEX links_trace_id ON links (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX links_other_ids ON links USING gin (other_ids) WITH (fastupdate = off) WHERE other_ids <> '{}';
-- Serves: the sweep of links whose wait is over.
CREATE INDEX links_waiting ON links (waiting_until) WHERE state = 'waiting';
