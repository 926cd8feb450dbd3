-- Indexes that a failed CREATE INDEX or REINDEX CONCURRENTLY left; not those that are being built right now.
SELECT
    entry.indexrelid::regclass::text AS name,
    entry.indrelid::regclass::text AS on_table,
    relation.relname ~ '_cc(new|old)[0-9]*$' AS is_leftover_of_reindex,
    count(*) OVER () AS total
FROM pg_index AS entry
JOIN pg_class AS relation ON relation.oid = entry.indexrelid AND relation.relkind = 'i'
WHERE NOT entry.indisvalid
    AND NOT EXISTS (
        SELECT 1 FROM pg_stat_progress_create_index AS building
        WHERE building.index_relid = entry.indexrelid OR building.relid = entry.indrelid
    )
    -- A plain member of public does not see what is being built, only the lock that goes with it.
    AND NOT (
        NOT pg_has_role('pg_read_all_stats', 'USAGE')
        AND EXISTS (
            SELECT 1 FROM pg_locks AS held
            WHERE held.relation = entry.indrelid AND held.mode = 'ShareUpdateExclusiveLock'
                AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
    )
ORDER BY 2, 1
LIMIT 10
