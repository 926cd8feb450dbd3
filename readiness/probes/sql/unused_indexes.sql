-- Large indexes that were never scanned since the statistics began and that no constraint needs, largest first.
SELECT
    entry.indexrelid::regclass::text AS name,
    entry.indrelid::regclass::text AS on_table,
    relation.relpages::bigint * current_setting('block_size')::bigint AS bytes,
    count(*) OVER () AS total
FROM pg_index AS entry
JOIN pg_class AS relation ON relation.oid = entry.indexrelid AND relation.relkind = 'i'
JOIN pg_namespace AS space ON space.oid = relation.relnamespace
WHERE relation.relpages::bigint * current_setting('block_size')::bigint >= %(unused_index_bytes)s
    AND NOT entry.indisunique AND NOT entry.indisexclusion AND NOT entry.indisreplident
    AND entry.indisvalid AND NOT relation.relispartition
    AND pg_stat_get_numscans(entry.indexrelid) = 0
    AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
ORDER BY relation.relpages DESC, 1
LIMIT 10
