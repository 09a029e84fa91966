-- A hundred thousand tickets, as they stand after some months: most solved and linked, few waiting, few mails queued.
INSERT INTO tickets (id, reference, token_hash, status, created_at, updated_at, source, kind, action, page_url,
    page_path, occurred_at)
SELECT (lpad(to_hex(1767000000000 + n * 60000), 12, '0') || substr(md5(n::text), 1, 20))::uuid, 'TD-' || n,
       sha256(n::text::bytea), CASE WHEN n > 99000 THEN 'open' ELSE 'solved' END::ticket_status,
       to_timestamp(1767000000 + n * 60), to_timestamp(1767000000 + n * 60), 'form', 'chat',
       'asking about a contract of 40 pages, number ' || n, 'https://app.example.com/docs/' || n, '/docs/' || n,
       to_timestamp(1767000000 + n * 60)
FROM generate_series(1, 100000) AS n;
INSERT INTO links (ticket_id, state, origin, trace_id, other_ids, waiting_until)
SELECT id, CASE WHEN n % 500 = 0 THEN 'waiting' WHEN n % 10 = 0 THEN 'missing' ELSE 'linked' END::link_state, 'stated',
       md5(n::text)::uuid, CASE WHEN n % 1000 = 0 THEN ARRAY[md5((-n)::text)::uuid] ELSE '{}'::uuid[] END,
       CASE WHEN n % 500 = 0 THEN now() + interval '10 minutes' END
FROM (SELECT id, substr(reference, 4)::int AS n FROM tickets) AS t;
INSERT INTO outbox (id, ticket_id, kind, recipient, message_id, state, due_at, awaits_trace, created_at)
SELECT gen_random_uuid(), id, 'staff_notice', 'support@localhost', '<' || id || '@localhost>',
       CASE WHEN status = 'open' THEN 'queued' ELSE 'sent' END::mail_state, created_at, false, created_at
FROM tickets;
VACUUM ANALYZE tickets;
VACUUM ANALYZE links;
VACUUM ANALYZE outbox;
