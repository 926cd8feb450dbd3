-- Tables with many dead rows, most first.
SELECT
    counted.oid::regclass::text AS name,
    counted.dead,
    counted.live,
    100.0 * counted.dead / (counted.dead + counted.live) AS percent,
    extract(epoch FROM clock_timestamp() - greatest(
        pg_stat_get_last_vacuum_time(counted.oid), pg_stat_get_last_autovacuum_time(counted.oid)
    ))::float8 AS vacuumed_seconds_ago,
    count(*) OVER () AS total
FROM (
    SELECT relation.oid, pg_stat_get_dead_tuples(relation.oid) AS dead, pg_stat_get_live_tuples(relation.oid) AS live
    FROM pg_class AS relation
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'm') AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
) AS counted
WHERE counted.dead > %(dead_tuples_rows)s
    AND counted.dead > %(dead_tuples_percent)s / 100.0 * (counted.dead + counted.live)
ORDER BY counted.dead DESC, 1
LIMIT 10
