-- What guards the doors through which anybody may report: secrets that all nodes share, proofs of work that were used,
-- why a ticket was judged spam, and keys that may stand in a page for all to see.

CREATE TABLE server_secrets (
    name       text        PRIMARY KEY,   -- what it signs: 'form'
    secret     bytea       NOT NULL,      -- 32 random bytes, made by the first node that needs them
    created_at timestamptz NOT NULL
);

-- A proof of work counts once, on whichever node it is shown.
CREATE TABLE used_proofs (
    challenge  bytea       PRIMARY KEY,   -- SHA-256, as the challenge has it
    expires_at timestamptz NOT NULL       -- from then on the challenge is refused by its own date
);
-- Serves: the hourly sweep of proofs that can't be shown again anyway.
CREATE INDEX used_proofs_expires_at ON used_proofs (expires_at);

CREATE TYPE spam_sign AS ENUM (
    'filled_trap',   -- a field that people don't see was filled
    'no_form',       -- sent without the form's token, or with one that we did not sign
    'too_fast',      -- sent within seconds of opening the form
    'no_proof',      -- no proof of work, as without a script
    'wrong_proof',   -- a proof that does not hold
    'used_proof',    -- a proof that was shown before
    'too_many'       -- one of many from its address that had no proof of work
);
-- Why tracedesk judged it spam; empty when it did not, or staff said that it is none.
ALTER TABLE tickets ADD COLUMN spam_signs spam_sign[] NOT NULL DEFAULT '{}';

ALTER TYPE ticket_event_kind ADD VALUE 'not_spam' AFTER 'marked_spam';

-- Origins (https://app.example.com) of the pages whose scripts may use the key; NULL for a key that is a secret.
ALTER TABLE api_keys ADD COLUMN origins text[];
-- Serves: the question of a browser, before it sends a report, whether its page's origin may.
CREATE INDEX api_keys_origins ON api_keys USING gin (origins) WHERE revoked_at IS NULL AND origins IS NOT NULL;
