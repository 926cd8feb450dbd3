-- What pg_stat_statements says of this database: the ten statements that took most time, and the ten slowest that are
-- called often enough to matter. The text has parameters in place of literals, except in utility statements.
WITH statements AS (
    SELECT
        queryid,
        min(left(query, 4000)) AS text,
        sum(calls)::float8 AS calls,
        sum(total_exec_time)::float8 AS total_ms,
        sum(rows)::float8 AS rows
    FROM {schema}.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND queryid IS NOT NULL
    GROUP BY queryid
), ranked AS (
    SELECT
        *,
        total_ms / nullif(calls, 0) AS mean_ms,
        100.0 * total_ms / nullif(sum(total_ms) OVER (), 0) AS share_percent,
        row_number() OVER (ORDER BY total_ms DESC, queryid) AS place,
        calls >= %(slow_query_calls)s
            AND total_ms / nullif(calls, 0) >= %(slow_query_warn_seconds)s * 1000.0 AS is_slow
    FROM statements
), listed AS (
    SELECT
        *,
        count(*) FILTER (WHERE is_slow) OVER () AS total,
        row_number() OVER (ORDER BY is_slow DESC NULLS LAST, mean_ms DESC NULLS LAST) AS slow_place
    FROM ranked
)
SELECT queryid::text, text, calls, mean_ms, total_ms, share_percent, rows, place, is_slow, total
FROM listed
WHERE place <= 10 OR (is_slow AND slow_place <= 10)
ORDER BY place
