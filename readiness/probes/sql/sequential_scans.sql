-- Large tables that are read from end to end more often than through an index, most rows read first.
SELECT
    counted.oid::regclass::text AS name,
    counted.live,
    counted.scans,
    counted.rows_read,
    counted.index_scans,
    counted.bytes,
    count(*) OVER () AS total
FROM (
    SELECT
        relation.oid,
        greatest(relation.reltuples::float8, pg_stat_get_live_tuples(relation.oid)::float8) AS live,
        relation.relpages::bigint * current_setting('block_size')::bigint AS bytes,
        pg_stat_get_numscans(relation.oid) AS scans,
        pg_stat_get_tuples_returned(relation.oid) AS rows_read,
        (SELECT coalesce(sum(pg_stat_get_numscans(indexrelid)), 0)::bigint FROM pg_index
            WHERE indrelid = relation.oid) AS index_scans
    FROM pg_class AS relation
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'm')
        AND relation.relpages::bigint * current_setting('block_size')::bigint >= %(sequential_scan_bytes)s
        AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
) AS counted
WHERE counted.live >= %(sequential_scan_rows)s
    AND counted.scans >= %(sequential_scans)s
    AND counted.scans > counted.index_scans
ORDER BY counted.rows_read DESC, 1
LIMIT 10
