-- Foreign keys whose columns no index of the referencing table begins with, largest table first.
SELECT
    quote_ident(reference.conname) AS name,
    reference.conrelid::regclass::text AS on_table,
    reference.confrelid::regclass::text AS to_table,
    (SELECT string_agg(quote_ident(attname), ', ' ORDER BY array_position(reference.conkey, attnum))
        FROM pg_attribute
        WHERE attrelid = reference.conrelid AND attnum = ANY (reference.conkey)) AS columns,
    relation.relkind = 'p' AS is_partitioned,
    count(*) OVER () AS total
FROM pg_constraint AS reference
JOIN pg_class AS relation ON relation.oid = reference.conrelid
WHERE reference.contype = 'f' AND reference.conparentid = 0
    AND NOT EXISTS (
        SELECT 1 FROM pg_index AS entry
        WHERE entry.indrelid = reference.conrelid AND entry.indisvalid
            AND entry.indnkeyatts >= cardinality(reference.conkey)
            AND (entry.indkey::int2[])[0:cardinality(reference.conkey) - 1] @> reference.conkey
            -- A reference is never looked up by null, so an index of the values that are not null serves.
            AND (entry.indpred IS NULL
                OR pg_get_expr(entry.indpred, entry.indrelid) ~ '^\([^() ]+ IS NOT NULL\)$')
    )
ORDER BY relation.relpages DESC, 2, 1
LIMIT 10
