-- Failures that the advice solved, so that no report was sent: counted, with nothing of the person or the trace.

CREATE TABLE solved_answers (
    day           date          NOT NULL,   -- in UTC
    failure_class failure_class NOT NULL,   -- whose advice it was
    count         integer       NOT NULL,   -- how often
    PRIMARY KEY (day, failure_class)
);

-- Serves: the failures page, tickets of the same failure.
CREATE INDEX links_fingerprint ON links (failure_fingerprint) WHERE failure_fingerprint IS NOT NULL;
-- Serves: the failures page, what failed lately.
CREATE INDEX links_linked_at ON links (linked_at) WHERE failure_fingerprint IS NOT NULL;
