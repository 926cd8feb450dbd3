-- Replication slots and the WAL that each one keeps, most first. Before 17 a slot does not say since when it is inactive.
SELECT
    slot_name::text AS slot,
    quote_literal(slot_name) AS slot_quoted,
    slot_type,
    coalesce(database::text, '') AS database,
    active,
    false AS is_synced,
    NULL::float8 AS inactive_seconds,
    wal_status,
    NULL::text AS invalidation_reason,
    pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn
    )::float8 AS kept_bytes,
    count(*) OVER () AS total
FROM pg_replication_slots
ORDER BY coalesce(wal_status = 'lost', false) DESC, active, restart_lsn
LIMIT 10
