-- One row: who we are, what server this is, and its counters. Works for a plain member of public.
SELECT
    current_setting('server_version_num')::int AS version_num,
    current_setting('server_version') AS version_text,
    pg_backend_pid() AS backend_pid,
    current_user::text AS role,
    quote_ident(current_user) AS role_quoted,
    current_database()::text AS database,
    quote_ident(current_database()) AS database_quoted,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions,
    pg_has_role('pg_read_all_settings', 'USAGE') AS sees_all_settings,
    pg_is_in_recovery() AS in_recovery,
    current_setting('max_connections')::int AS max_connections,
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved_connections,
    -- backend_type is hidden from a plain member of public; the role and the database of a session are not.
    (SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend'
            OR (backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL)) AS used_connections,
    (SELECT count(*) FROM pg_stat_activity AS session
        WHERE session.datid = counters.datid AND session.usesysid IS NOT NULL
            AND coalesce(session.backend_type, 'client backend') = 'client backend') AS database_connections,
    (SELECT datconnlimit FROM pg_database WHERE oid = counters.datid) AS database_connection_limit,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS server_tls,
    (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls_version,
    current_setting('archive_mode') AS archive_mode,
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime_seconds,
    counters.stats_reset::text AS stats_reset,
    extract(epoch FROM clock_timestamp() - counters.stats_reset)::float8 AS stats_age_seconds,
    counters.deadlocks,
    counters.temp_files,
    counters.temp_bytes,
    space.nspname::text AS statements_schema,
    extension.extversion AS statements_version,
    (SELECT count(*) FROM pg_class AS relation
        JOIN pg_namespace AS home ON home.oid = relation.relnamespace
        WHERE relation.relkind IN ('r', 'p') AND NOT relation.relispartition
            AND home.nspname !~ '^pg_' AND home.nspname <> 'information_schema') AS table_count,
    (SELECT count(*) FROM pg_constraint WHERE contype = 'f') AS foreign_key_count
FROM pg_stat_database AS counters
LEFT JOIN pg_extension AS extension ON extension.extname = 'pg_stat_statements'
LEFT JOIN pg_namespace AS space ON space.oid = extension.extnamespace
WHERE counters.datname = current_database()
