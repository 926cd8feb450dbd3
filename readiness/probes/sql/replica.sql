-- One row: how far this server is behind its primary; 0 when everything received is replayed.
SELECT
    pg_is_in_recovery() AS in_recovery,
    pg_last_wal_receive_lsn()::text AS received,
    pg_last_wal_replay_lsn()::text AS replayed,
    CASE
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0.0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
    END AS lag_seconds
