-- Screenshots that came with reports and replies: re-encoded, so that nothing of the original file is kept but its
-- picture.

CREATE TABLE attachments (
    id         uuid        PRIMARY KEY,         -- UUIDv7
    ticket_id  uuid        REFERENCES tickets (id) ON DELETE CASCADE,  -- NULL while the form was not sent whole
    draft_hash bytea,                           -- SHA-256 of the token by which an unsent form finds its files again
    media_type text        NOT NULL,            -- image/png, image/jpeg or image/gif, as re-encoded
    width      integer     NOT NULL,            -- in pixels
    height     integer     NOT NULL,            -- in pixels
    content    bytea       NOT NULL,            -- the picture, at most 20 MiB
    created_at timestamptz NOT NULL,
    CHECK ((ticket_id IS NULL) = (draft_hash IS NOT NULL))
);
-- Pictures are compressed already.
ALTER TABLE attachments ALTER COLUMN content SET STORAGE EXTERNAL;
-- Serves: a ticket's screenshots, in order.
CREATE INDEX attachments_ticket ON attachments (ticket_id, id) WHERE ticket_id IS NOT NULL;
-- Serves: the files of an unsent form.
CREATE INDEX attachments_draft ON attachments (draft_hash) WHERE draft_hash IS NOT NULL;
-- Serves: forgetting the files of forms that were never sent.
CREATE INDEX attachments_unsent ON attachments (created_at) WHERE ticket_id IS NULL;
