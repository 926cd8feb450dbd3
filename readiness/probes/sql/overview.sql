-- One row: what the first findings of the postgres probe are judged from. Works for a plain member of public.
SELECT
    current_setting('server_version_num')::int AS version_num,
    current_setting('server_version') AS version_text,
    current_setting('max_connections')::int AS max_connections,
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved_connections,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used_connections,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS tls,
    (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls_version,
    inet_server_addr() IS NULL AS over_socket,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions,
    (SELECT count(*) FROM pg_class AS relation
        JOIN pg_namespace AS space ON space.oid = relation.relnamespace
        WHERE relation.relkind IN ('r', 'p') AND NOT relation.relispartition
            AND space.nspname NOT LIKE 'pg\_%' AND space.nspname <> 'information_schema') AS table_count
