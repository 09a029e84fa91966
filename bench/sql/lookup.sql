SELECT part_id, raw_bytes, payload FROM trace_parts WHERE trace_id = $1
UNION ALL
SELECT part_id, raw_bytes, payload FROM pinned_parts WHERE trace_id = $1
