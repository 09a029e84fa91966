-- Pictures may be kept in an object store (S3) instead of here. Every object has a row before it exists, so none is
-- forgotten there, however its picture goes.

CREATE TABLE stored_objects (
    key        text        PRIMARY KEY,   -- of the object, below the prefix that the operator chose
    created_at timestamptz NOT NULL
);
-- Serves: the hourly look for objects whose picture is gone.
CREATE INDEX stored_objects_created_at ON stored_objects (created_at);

-- The object with the picture; NULL for a picture that is here, in `content`.
ALTER TABLE attachments ADD COLUMN stored_as text REFERENCES stored_objects (key);
-- Size of the picture's file; NULL where `content` says it.
ALTER TABLE attachments ADD COLUMN stored_bytes integer;
ALTER TABLE attachments ALTER COLUMN content DROP NOT NULL;
ALTER TABLE attachments ADD CHECK ((content IS NULL) = (stored_as IS NOT NULL));
-- Serves: the hourly look for objects whose picture is gone.
CREATE INDEX attachments_stored_as ON attachments (stored_as) WHERE stored_as IS NOT NULL;
-- Serves: moving pictures to the object store that came while it was away, or before it was configured.
CREATE INDEX attachments_here ON attachments (id) WHERE stored_as IS NULL;
