WITH ticket AS (
    INSERT INTO tickets (id, reference, token_hash, status, created_at, updated_at, source, kind, action, page_url,
        page_path, occurred_at)
    VALUES ($1, $2, $3, 'open', $4, $4, 'api', 'chat', $5, $6, $7, $8)
    ON CONFLICT (reference) DO NOTHING
    RETURNING id
), link AS (
    INSERT INTO links (ticket_id, state, origin, other_ids) SELECT id, 'none', 'stated', '{}' FROM ticket
), event AS (
    INSERT INTO ticket_events (id, ticket_id, kind, created_at) SELECT $9, id, 'opened', $4 FROM ticket
), mails AS (
    INSERT INTO outbox (id, ticket_id, kind, recipient, message_id, state, due_at, awaits_trace, created_at)
    SELECT $10, id, 'staff_notice', 'support@localhost', $11, 'queued', now(), false, $4 FROM ticket
)
SELECT count(*) FROM ticket
