-- Mail to reporters: bounded by address and hour, and lost links sent again.

ALTER TYPE mail_kind ADD VALUE 'lost_links';  -- to the reporter: fresh links to their open tickets, on request

ALTER TABLE outbox ADD COLUMN admitted_at timestamptz;  -- when it took one of its recipient's places of the hour, by the database's clock; NULL: not yet, or to staff
-- Serves: the bound on mails to one address, in any case of its letters.
CREATE INDEX outbox_admitted ON outbox (lower(recipient), admitted_at) WHERE admitted_at IS NOT NULL;
-- Served a bound on receipts as they were written; the bound now stands where mails are sent, and loses none.
DROP INDEX outbox_receipts;

-- Addresses for which lost links were asked. Every request writes such a row, whether the address is known or not, so
-- that the answer tells nothing; a task turns the row into a mail, or into nothing.
CREATE TABLE link_requests (
    email        text        PRIMARY KEY,   -- in lower case
    requested_at timestamptz NOT NULL
);
