-- Indexes that another index of the table makes superfluous: the same columns in the same way, or, where it costs
-- space, the first columns of a longer one. What a constraint stands on is kept.
WITH entries AS (
    SELECT
        entry.indexrelid,
        entry.indrelid,
        entry.indkey::text AS columns,
        entry.indclass::text AS classes,
        entry.indcollation::text AS collations,
        entry.indoption::text AS options,
        entry.indnatts,
        entry.indnkeyatts,
        entry.indisunique,
        entry.indisprimary,
        entry.indisreplident,
        relation.relname,
        relation.relam,
        relation.relkind = 'I' AS is_partitioned,
        EXISTS (
            SELECT 1 FROM pg_constraint AS reference
            WHERE reference.contype = 'f' AND reference.conindid = entry.indexrelid
        ) AS is_referred_to,
        relation.relpages::bigint * current_setting('block_size')::bigint AS bytes,
        coalesce(pg_get_expr(entry.indexprs, entry.indrelid), '') AS expressions,
        coalesce(pg_get_expr(entry.indpred, entry.indrelid), '') AS predicate,
        standing.conname
    FROM pg_index AS entry
    JOIN pg_class AS relation ON relation.oid = entry.indexrelid AND relation.relkind IN ('i', 'I')
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    LEFT JOIN pg_constraint AS standing
        ON standing.conindid = entry.indexrelid AND standing.contype IN ('p', 'u', 'x')
    WHERE entry.indisvalid AND entry.indislive AND NOT relation.relispartition
        AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
        -- Few indexes share their first column with another; only those are worth comparing.
        AND EXISTS (
            SELECT 1 FROM pg_index AS other
            WHERE other.indrelid = entry.indrelid AND other.indkey[0] = entry.indkey[0]
                AND other.indexrelid <> entry.indexrelid
        )
), ranked AS (
    SELECT
        *,
        row_number() OVER alike AS place,
        first_value(indexrelid) OVER alike AS kept
    FROM entries
    WINDOW alike AS (
        PARTITION BY indrelid, columns, classes, collations, options, indnkeyatts, relam, expressions, predicate
        ORDER BY indisprimary DESC, indisreplident DESC, is_referred_to DESC, conname IS NULL, indisunique DESC, relname
    )
), superfluous AS (
    SELECT indexrelid, indrelid, kept, bytes, conname, is_partitioned, is_referred_to, true AS is_same
    FROM ranked WHERE place > 1
    UNION ALL
    SELECT
        short.indexrelid, short.indrelid, min(long.indexrelid::oid::bigint)::oid, short.bytes, NULL, false, false, false
    FROM ranked AS short
    JOIN ranked AS long
        ON long.indrelid = short.indrelid AND long.relam = short.relam
        AND long.indnkeyatts > short.indnkeyatts AND long.expressions = '' AND long.predicate = ''
        AND starts_with(long.columns || ' ', short.columns || ' ')
        AND starts_with(long.classes || ' ', short.classes || ' ')
        AND starts_with(long.collations || ' ', short.collations || ' ')
        AND starts_with(long.options || ' ', short.options || ' ')
    WHERE short.place = 1 AND short.bytes >= %(unused_index_bytes)s
        AND short.conname IS NULL AND NOT short.indisunique AND NOT short.indisreplident
        AND short.indnatts = short.indnkeyatts AND short.expressions = '' AND short.predicate = ''
        AND short.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
    GROUP BY short.indexrelid, short.indrelid, short.bytes
)
SELECT
    indexrelid::regclass::text AS name,
    indrelid::regclass::text AS on_table,
    kept::regclass::text AS kept,
    quote_ident(conname) AS constraint_quoted,
    is_partitioned,
    is_referred_to,
    is_same,
    bytes,
    count(*) OVER () AS total
FROM superfluous
ORDER BY bytes DESC, 1
LIMIT 10
