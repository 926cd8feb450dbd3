-- The exported snapshot and the point in time it stands for; the LSN is an upper bound. Works on a standby too.
SELECT pg_catalog.pg_export_snapshot() AS snapshot_id,
       pg_catalog.pg_current_snapshot()::pg_catalog.text AS transaction_snapshot,
       (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_lsn() END)::pg_catalog.text AS lsn,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       pg_catalog.transaction_timestamp() AS transaction_at,
       pg_catalog.current_setting('server_version') AS server_version,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS server_version_num,
       pg_catalog.pg_database_size(pg_catalog.current_database()) AS database_size_bytes,
       pg_catalog.current_database()::pg_catalog.text AS database,
       current_user::pg_catalog.text AS role,
       pg_catalog.pg_encoding_to_char(d.encoding)::pg_catalog.text AS encoding,
       pg_catalog.to_jsonb(d) AS catalog_row
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
