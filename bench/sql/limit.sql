-- What a trace store of one row a span comes to: the limit beside ingest and space.
DROP TABLE IF EXISTS limit_spans;
CREATE TABLE limit_spans (
    trace_id       uuid        NOT NULL,
    span_id        bigint      NOT NULL,
    parent_span_id bigint,
    service        text        NOT NULL,
    name           text        NOT NULL,
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz NOT NULL,
    attributes     jsonb       NOT NULL
);
CREATE INDEX limit_spans_trace_id ON limit_spans (trace_id);
