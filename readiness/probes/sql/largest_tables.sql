-- The five largest tables by what the last vacuum or analyze counted, without their indexes.
SELECT
    relation.oid::regclass::text AS name,
    relation.relpages::bigint * current_setting('block_size')::bigint AS bytes,
    greatest(relation.reltuples, 0)::float8 AS estimated_rows
FROM pg_class AS relation
JOIN pg_namespace AS space ON space.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'm') AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
ORDER BY relation.relpages DESC, 1
LIMIT 5
