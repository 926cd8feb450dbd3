-- Large tables that are read from end to end more often than through an index, most rows read first.
SELECT
    sized.oid::regclass::text AS name,
    sized.live,
    sized.scans,
    sized.rows_read,
    sized.index_scans,
    sized.bytes,
    count(*) OVER () AS total
FROM (
    SELECT
        counted.*,
        -- A table that was never vacuumed or analyzed has no page count; asking for the size of every one is dear.
        CASE WHEN counted.relpages > 0 THEN counted.relpages::bigint * current_setting('block_size')::bigint
            ELSE pg_relation_size(counted.oid) END AS bytes
    FROM (
        SELECT
            relation.oid,
            relation.relpages,
            greatest(relation.reltuples::float8, pg_stat_get_live_tuples(relation.oid)::float8) AS live,
            pg_stat_get_numscans(relation.oid) AS scans,
            pg_stat_get_tuples_returned(relation.oid) AS rows_read,
            (SELECT coalesce(sum(pg_stat_get_numscans(indexrelid)), 0)::bigint FROM pg_index
                WHERE indrelid = relation.oid) AS index_scans
        FROM pg_class AS relation
        JOIN pg_namespace AS space ON space.oid = relation.relnamespace
        WHERE relation.relkind IN ('r', 'm')
            AND pg_stat_get_numscans(relation.oid) >= %(sequential_scans)s
            AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
        OFFSET 0
    ) AS counted
    WHERE counted.live >= %(sequential_scan_rows)s AND counted.scans > counted.index_scans
    OFFSET 0
) AS sized
WHERE sized.bytes >= %(sequential_scan_bytes)s
ORDER BY sized.rows_read DESC, 1
LIMIT 10
