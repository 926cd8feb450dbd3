-- Statements of client sessions that run for long, longest first. No walsender or autovacuum.
SELECT
    pid,
    coalesce(datname, '') AS database,
    coalesce(usename, '') AS role,
    coalesce(quote_ident(usename), '') AS role_quoted,
    coalesce(application_name, '') AS application,
    concat_ws(': ', wait_event_type, wait_event) AS wait,
    extract(epoch FROM clock_timestamp() - query_start)::float8 AS age_seconds,
    count(*) OVER () AS total
FROM pg_stat_activity
WHERE state IN ('active', 'fastpath function call')
    AND backend_type = 'client backend'
    AND pid <> pg_backend_pid()
    -- Dumps, and our own backups, proofs and restores, have to take their time; a probe of another database is ours.
    AND coalesce(application_name, '') !~ '^(pg_dump|pg_restore|pg_basebackup)$|^preflight ([a-z]+ [0-9]+ |probe$)'
    AND query_start <= clock_timestamp() - %(active_query_warn_seconds)s * interval '1 second'
ORDER BY query_start
LIMIT 10
