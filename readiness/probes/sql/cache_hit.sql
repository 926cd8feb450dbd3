-- One row: blocks that tables and indexes asked for, and how many of them were in shared buffers.
SELECT
    sum(pg_stat_get_blocks_fetched(relation.oid)) FILTER (WHERE relkind <> 'i')::float8 AS table_blocks,
    sum(pg_stat_get_blocks_hit(relation.oid)) FILTER (WHERE relkind <> 'i')::float8 AS table_hits,
    sum(pg_stat_get_blocks_fetched(relation.oid)) FILTER (WHERE relkind = 'i')::float8 AS index_blocks,
    sum(pg_stat_get_blocks_hit(relation.oid)) FILTER (WHERE relkind = 'i')::float8 AS index_hits
FROM pg_class AS relation
JOIN pg_namespace AS space ON space.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'm', 'i')
    AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
