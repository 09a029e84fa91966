-- Whether what failed works again: later traces of the same user and route without a failure.

ALTER TABLE links ADD COLUMN recovered_at timestamptz;  -- start of the first later trace that shows success
ALTER TABLE links ADD COLUMN recovered_trace_id uuid;  -- that trace
ALTER TABLE links ADD COLUMN recovery_seen_until timestamptz;  -- traces that started before were looked at
-- Serves: the sweep of linked tickets whose failure may have passed.
CREATE INDEX links_watched ON links (failed_at) WHERE state = 'linked' AND failure_class IS NOT NULL AND recovered_at IS NULL;

-- Serves: the traces of one user since a failure, in order of time. Only parts that name a user cost an entry.
CREATE INDEX trace_parts_user ON trace_parts (user_ref, started_at) WHERE user_ref IS NOT NULL;

-- Serves: one mail of lost links an hour to an address.
CREATE INDEX outbox_lost_links ON outbox (lower(recipient), created_at) WHERE kind = 'lost_links';
