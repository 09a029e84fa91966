-- Who may call: accounts with API keys, and staff with sessions.

-- What a key may do.
CREATE TYPE api_scope AS ENUM ('tickets:write', 'tickets:read', 'traces:write', 'traces:read', 'admin');

CREATE TABLE accounts (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL UNIQUE,   -- as the operator typed it at `key create --account`
    created_at timestamptz NOT NULL
);

CREATE TABLE api_keys (
    id           uuid        PRIMARY KEY,
    account_id   uuid        NOT NULL REFERENCES accounts (id),
    label        text        NOT NULL,            -- what the key is for, shown in `key list`
    scopes       api_scope[] NOT NULL,
    secret_hash  bytea       NOT NULL UNIQUE,     -- SHA-256 of the 32 random bytes; the key itself is never kept
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,                     -- written at most once a minute
    revoked_at   timestamptz
);

CREATE TYPE staff_role AS ENUM ('admin', 'staff');

CREATE TABLE staff (
    id            uuid        PRIMARY KEY,
    email         text        NOT NULL,
    password_hash text        NOT NULL,           -- argon2id, PHC string
    role          staff_role  NOT NULL,
    created_at    timestamptz NOT NULL
);
-- Serves: sign-in; an address is one person whatever its case.
CREATE UNIQUE INDEX staff_email ON staff (lower(email));

CREATE TABLE sessions (
    token_hash bytea       PRIMARY KEY,           -- SHA-256 of the cookie's value
    staff_id   uuid        NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    csrf_token text        NOT NULL,              -- must come back with every state-changing request
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
-- Serves: the hourly sweep of expired sessions.
CREATE INDEX sessions_expires_at ON sessions (expires_at);
-- Serves: ending all sessions of a person whose password changes.
CREATE INDEX sessions_staff_id ON sessions (staff_id);
