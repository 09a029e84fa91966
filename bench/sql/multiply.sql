-- Four more parts for each that is stored, under other IDs.
INSERT INTO trace_parts
SELECT gen_random_uuid(), gen_random_uuid(), received_at, started_at, ended_at, span_count, error_count, raw_bytes,
       service, root_name, page_path, user_ref, http_status, failure_class, failure_fingerprint, failing_span,
       failure_message, span_id_tails, payload
FROM trace_parts, generate_series(1, 4);
VACUUM ANALYZE trace_parts;
