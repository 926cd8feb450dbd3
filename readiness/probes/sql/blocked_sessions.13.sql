-- Sessions that wait for a lock, longest first, and who holds it. Before 14 the wait has no start of its own.
SELECT
    waiting.pid,
    coalesce(session.datname, '') AS database,
    coalesce(session.usename, '') AS role,
    coalesce(session.application_name, '') AS application,
    pg_blocking_pids(waiting.pid) AS blockers,
    waiting.relation,
    extract(epoch FROM clock_timestamp() - session.query_start)::float8 AS age_seconds,
    count(*) OVER () AS total
FROM (
    SELECT
        pid,
        max(relation::regclass::text) FILTER (
            WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ) AS relation
    FROM pg_locks
    WHERE NOT granted
    GROUP BY pid
) AS waiting
JOIN pg_stat_activity AS session ON session.pid = waiting.pid
WHERE session.query_start IS NULL
    OR session.query_start <= clock_timestamp() - %(blocked_warn_seconds)s * interval '1 second'
ORDER BY session.query_start NULLS LAST
LIMIT 10
