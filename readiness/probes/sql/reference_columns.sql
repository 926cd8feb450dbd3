-- Columns named after a table of their schema (customer_id, "customerId") that no foreign key guards.
SELECT
    column_of.attrelid::regclass::text AS on_table,
    quote_ident(column_of.attname) AS name,
    named.oid::regclass::text AS to_table,
    relation.relkind = 'p' AS is_partitioned,
    EXISTS (
        SELECT 1 FROM pg_constraint AS held
        JOIN pg_attribute AS identity ON identity.attrelid = held.conrelid AND identity.attnum = held.conkey[1]
        WHERE held.conrelid = named.oid AND held.contype = 'p' AND cardinality(held.conkey) = 1
            AND (identity.atttypid = column_of.atttypid
                OR (identity.atttypid IN (20, 21, 23) AND column_of.atttypid IN (20, 21, 23))
                OR (identity.atttypid IN (25, 1043) AND column_of.atttypid IN (25, 1043)))
    ) AS may_refer,
    count(*) OVER () AS total
FROM pg_attribute AS column_of
JOIN pg_class AS relation ON relation.oid = column_of.attrelid AND relation.relkind IN ('r', 'p')
JOIN pg_namespace AS space ON space.oid = relation.relnamespace
CROSS JOIN LATERAL regexp_replace(column_of.attname, '(_id|Id)$', '') AS stem
CROSS JOIN LATERAL (
    SELECT oid FROM pg_class
    WHERE relnamespace = relation.relnamespace AND relkind IN ('r', 'p') AND oid <> relation.oid
        AND relname IN (lower(stem), lower(stem) || 's', stem, stem || 's', upper(left(stem, 1)) || substr(stem, 2))
    LIMIT 1
) AS named
WHERE column_of.attnum > 0 AND NOT column_of.attisdropped AND NOT relation.relispartition
    AND column_of.attname ~ '.(_id|Id)$'
    AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f')
ORDER BY 1, 2
LIMIT 10
