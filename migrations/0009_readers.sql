-- The reporter's side: in which language, what was tried before, what helped without a report.

-- The moves of the recovery flow before support is asked, in their order.
CREATE TYPE recovery_step AS ENUM ('retry', 'switch');

ALTER TABLE tickets ADD COLUMN language text NOT NULL DEFAULT 'en';  -- BCP 47 tag: page and mails come in it
ALTER TABLE tickets ADD COLUMN tried recovery_step[] NOT NULL DEFAULT '{}';  -- what did not help, as the reporter says

-- "That fixed it": counted, with nothing of the person.
CREATE TABLE recoveries (
    day   date          NOT NULL,   -- in UTC
    kind  report_kind   NOT NULL,
    step  recovery_step NOT NULL,
    count integer       NOT NULL,
    PRIMARY KEY (day, kind, step)
);

-- What can be asked "Was this helpful?" of.
CREATE TYPE help_answer AS ENUM (
    'trace_id',      -- where to find it
    'plan_limit',
    'prompt_limit',
    'document',      -- a document that did not process
    'api_401',
    'api_413',
    'api_429',
    'api_5xx',
    'finding',       -- what was said of a trace
    'support'        -- what staff answered
);

-- "Was this helpful?": counted, with nothing of the person.
CREATE TABLE answer_votes (
    day        date        NOT NULL,   -- in UTC
    answer     help_answer NOT NULL,
    is_helpful boolean     NOT NULL,   -- yes or no
    count      integer     NOT NULL,
    PRIMARY KEY (day, answer, is_helpful)
);

-- The line that may come with a vote; the newest are kept.
CREATE TABLE answer_notes (
    id         uuid        PRIMARY KEY,   -- UUIDv7
    answer     help_answer NOT NULL,
    is_helpful boolean     NOT NULL,      -- of the vote that it came with
    note       text        NOT NULL,      -- one line of at most 300 characters
    language   text        NOT NULL,      -- BCP 47 tag of the page that it was written on
    created_at timestamptz NOT NULL
);
