-- Further links to a reporter's page: each mail to a reporter has one of its own, since of the first only a hash is
-- kept.

CREATE TABLE ticket_tokens (
    token_hash bytea       PRIMARY KEY,          -- SHA-256 of the token in the link
    ticket_id  uuid        NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL
);
-- Serves: deleting a ticket.
CREATE INDEX ticket_tokens_ticket ON ticket_tokens (ticket_id);
