-- The conversation, whole: who works on a ticket, notes among staff, files with replies, what the reporter thought of an
-- answer, and forms that act once and on what their sender saw.

ALTER TABLE tickets ADD COLUMN assignee_id uuid REFERENCES staff (id);  -- who works on it; NULL: nobody yet
ALTER TABLE tickets ADD COLUMN revision integer NOT NULL DEFAULT 0;  -- rises with each thing that a person does to it
-- Serves: the queue of one member of staff, newest first.
CREATE INDEX tickets_assignee ON tickets (assignee_id, created_at DESC, id DESC) WHERE assignee_id IS NOT NULL;
-- Serves: lost links, the tickets of an address in any case of its letters.
CREATE INDEX tickets_email ON tickets (lower(email), created_at DESC) WHERE email IS NOT NULL;

ALTER TABLE messages ADD COLUMN is_internal boolean NOT NULL DEFAULT false;  -- a note among staff: never shown or mailed to the reporter

ALTER TABLE attachments ADD COLUMN message_id uuid REFERENCES messages (id) ON DELETE CASCADE;  -- the message it came with; NULL: with the report
-- Serves: deleting a message.
CREATE INDEX attachments_message ON attachments (message_id) WHERE message_id IS NOT NULL;

ALTER TYPE ticket_event_kind ADD VALUE 'noted';       -- staff wrote a note among themselves
ALTER TYPE ticket_event_kind ADD VALUE 'assigned';    -- to whom stands in the detail
ALTER TYPE ticket_event_kind ADD VALUE 'unassigned';
ALTER TYPE ticket_event_kind ADD VALUE 'undone';      -- staff took back what they had done; the detail says what
ALTER TYPE ticket_event_kind ADD VALUE 'rated';       -- the reporter said whether an answer helped
ALTER TYPE ticket_event_kind ADD VALUE 'recovered';   -- a later trace of the same user and route shows success

ALTER TABLE ticket_events ADD COLUMN revision integer;  -- the ticket's revision that it made; NULL for what no person did
ALTER TABLE ticket_events ADD COLUMN once uuid;  -- made for the form that caused it, so that a form sent twice acts once
ALTER TABLE ticket_events ADD COLUMN message_id uuid REFERENCES messages (id) ON DELETE CASCADE;  -- the message that it is about
ALTER TABLE ticket_events ADD COLUMN before text;  -- what an undo brings back: a status, or an assignee's ID ('' for nobody)
-- Serves: recognising a form that was sent twice.
CREATE UNIQUE INDEX ticket_events_once ON ticket_events (ticket_id, once) WHERE once IS NOT NULL;
-- Serves: deleting a message.
CREATE INDEX ticket_events_message ON ticket_events (message_id) WHERE message_id IS NOT NULL;

-- What reporters thought of answers.
CREATE TABLE answer_ratings (
    message_id uuid        PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,  -- the answer of staff
    is_helpful boolean     NOT NULL,   -- "Was this helpful?"
    line       text,                   -- what they added, one line of at most 500 characters
    rated_at   timestamptz NOT NULL
);

-- How answers of staff were rated, by day; stays when tickets go.
CREATE TABLE answer_rating_days (
    day         date    PRIMARY KEY,   -- in UTC
    helpful     integer NOT NULL,      -- how many said yes
    not_helpful integer NOT NULL       -- how many said no
);
