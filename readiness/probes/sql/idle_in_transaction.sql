-- Client sessions of any database that hold a transaction open and do nothing, longest first.
SELECT
    pid,
    coalesce(datname, '') AS database,
    coalesce(usename, '') AS role,
    coalesce(quote_ident(usename), '') AS role_quoted,
    coalesce(application_name, '') AS application,
    coalesce(state, '') AS state,
    extract(epoch FROM clock_timestamp() - state_change)::float8 AS age_seconds,
    count(*) OVER () AS total
FROM pg_stat_activity
WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')
    AND backend_type = 'client backend'
    AND pid <> pg_backend_pid()
    -- Dumps, and our own backups, proofs and restores, have to take their time; a probe of another database is ours.
    AND coalesce(application_name, '') !~ '^(pg_dump|pg_restore|pg_basebackup)$|^preflight ([a-z]+ [0-9]+ |probe$)'
    AND state_change <= clock_timestamp() - %(idle_in_transaction_warn_seconds)s * interval '1 second'
ORDER BY state_change
LIMIT 10
