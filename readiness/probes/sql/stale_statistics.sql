-- Tables that changed much since the planner's statistics were taken, most changed first.
SELECT
    counted.oid::regclass::text AS name,
    counted.changed,
    counted.live,
    100.0 * counted.changed / greatest(counted.live, 1) AS percent,
    extract(epoch FROM clock_timestamp() - greatest(
        pg_stat_get_last_analyze_time(counted.oid), pg_stat_get_last_autoanalyze_time(counted.oid)
    ))::float8 AS analyzed_seconds_ago,
    count(*) OVER () AS total
FROM (
    SELECT
        relation.oid,
        pg_stat_get_mod_since_analyze(relation.oid) AS changed,
        pg_stat_get_live_tuples(relation.oid) AS live
    FROM pg_class AS relation
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'm') AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
) AS counted
WHERE counted.changed >= %(stale_statistics_rows)s
    AND counted.changed >= %(stale_statistics_percent)s / 100.0 * greatest(counted.live, 1)
ORDER BY counted.changed DESC, 1
LIMIT 10
