-- Traces as they arrive and as they are kept. A trace part is the spans of one trace that came in one export
-- request: summary columns that are searched, and the spans themselves as one compressed OTLP payload.

-- What went wrong in a trace (DESIGN.md section 2). A trace without a failure has NULL here.
CREATE TYPE failure_class AS ENUM (
    'plan_limit',        -- a quota, storage cap or credit balance was used up
    'prompt_too_long',   -- the message is over the model's or the product's prompt limit
    'document_failed',   -- a document did not process
    'upload_too_large',  -- HTTP 413
    'unauthorized',      -- HTTP 401 or 403
    'rate_limited',      -- HTTP 429
    'provider_error',    -- the model's provider failed or was overloaded
    'timeout',           -- a deadline passed
    'internal_error',    -- anything else that failed: our own bug
    'cancelled'          -- the caller went away
);

CREATE TABLE trace_parts (
    part_id             uuid          NOT NULL,  -- UUIDv7, so that a part pinned elsewhere is recognised as the same
    trace_id            uuid          NOT NULL,  -- the 16 bytes of the W3C trace ID
    received_at         timestamptz   NOT NULL,  -- when we stored it; the partition key
    started_at          timestamptz   NOT NULL,  -- earliest span start of the part, cut to microseconds
    ended_at            timestamptz   NOT NULL,  -- latest span end of the part
    span_count          integer       NOT NULL,
    error_count         integer       NOT NULL,  -- spans whose status is ERROR
    raw_bytes           integer       NOT NULL,  -- payload size after decompression, known before decompressing
    service             text          NOT NULL,  -- service.name of the part's first entry span
    root_name           text,                    -- name of the span without a parent, if it is in this part
    page_path           text,                    -- url.path of the first SERVER span, to match a report's page
    user_ref            text,                    -- SHA-256 of the user the spans name (first 16 hex digits), never the user
    http_status         smallint,                -- response status of the first SERVER span
    failure_class       failure_class,           -- as far as this part alone tells
    failure_fingerprint bigint,                  -- equal for the same failure in other traces
    failing_span        text,                    -- name of the failing span
    failure_message     text,                    -- its message, at most 500 characters
    span_id_tails       integer[]     NOT NULL,  -- last 4 bytes of each span ID: finds the trace of a pasted span ID
    payload             bytea         NOT NULL   -- zstd of an OTLP TracesData message
) PARTITION BY RANGE (received_at);

-- The payload is compressed already: keep it out of line without trying again.
ALTER TABLE trace_parts ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Serves: every look-up of a trace.
CREATE INDEX trace_parts_trace_id ON trace_parts (trace_id);
-- Serves: "what ran between these two times"; parts arrive about in order of time, so BRIN is enough.
CREATE INDEX trace_parts_started_at ON trace_parts USING brin (started_at);
-- Serves: the candidates for a report without a trace ID, and the list of recent failures.
CREATE INDEX trace_parts_failed ON trace_parts (started_at) WHERE failure_class IS NOT NULL;

-- Copies of the parts of linked traces, which retention never drops while the ticket lives.
CREATE TABLE pinned_parts (
    LIKE trace_parts,
    PRIMARY KEY (part_id)
);
ALTER TABLE pinned_parts ALTER COLUMN payload SET STORAGE EXTERNAL;
-- Serves: every look-up of a trace.
CREATE INDEX pinned_parts_trace_id ON pinned_parts (trace_id);
