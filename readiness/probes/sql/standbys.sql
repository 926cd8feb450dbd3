-- Standbys that stream from this server and replay what they get (pg_receivewal does not), furthest behind first.
SELECT
    pid,
    coalesce(application_name, '') AS application,
    coalesce(host(client_addr), '') AS address,
    state,
    extract(epoch FROM replay_lag)::float8 AS lag_seconds,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 END AS lag_bytes,
    count(*) OVER () AS total
FROM pg_stat_replication
WHERE replay_lsn IS NOT NULL OR state IS NULL
ORDER BY replay_lag DESC NULLS LAST
LIMIT 10
