-- The oldest open transaction of another client session of any database.
SELECT
    pid,
    coalesce(datname, '') AS database,
    coalesce(usename, '') AS role,
    coalesce(quote_ident(usename), '') AS role_quoted,
    coalesce(application_name, '') AS application,
    coalesce(state, '') AS state,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age_seconds,
    1 AS total
FROM pg_stat_activity
WHERE backend_type = 'client backend'
    AND xact_start IS NOT NULL
    AND pid <> pg_backend_pid()
    -- Dumps, and our own backups, proofs and restores, have to take their time; a probe of another database is ours.
    AND coalesce(application_name, '') !~ '^(pg_dump|pg_restore|pg_basebackup)$|^preflight ([a-z]+ [0-9]+ |probe$)'
ORDER BY xact_start
LIMIT 1
