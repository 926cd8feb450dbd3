-- Replication slots and the WAL that each one keeps, most first. A slot that is synced to a standby is inactive there by design.
SELECT
    slot_name::text AS slot,
    quote_literal(slot_name) AS slot_quoted,
    slot_type,
    coalesce(database::text, '') AS database,
    active,
    synced AND pg_is_in_recovery() AS is_synced,
    extract(epoch FROM clock_timestamp() - inactive_since)::float8 AS inactive_seconds,
    wal_status,
    invalidation_reason AS invalidation_reason,
    pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn
    )::float8 AS kept_bytes,
    count(*) OVER () AS total
FROM pg_replication_slots
ORDER BY coalesce(wal_status = 'lost', false) DESC, active, restart_lsn
LIMIT 10
