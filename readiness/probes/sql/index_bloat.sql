-- Large B-trees that take more pages than their entries need (an estimate from column widths), most wasted first; and
-- how many of them cannot be judged, because this role may not read their statistics or they have none.
WITH large AS (
    SELECT
        relation.oid,
        entry.indrelid,
        owner.relname AS table_name,
        relation.relname AS index_name,
        space.nspname,
        relation.relpages,
        relation.reltuples,
        entry.indnatts,
        entry.indkey,
        coalesce((SELECT option_value::float8 FROM pg_options_to_table(relation.reloptions)
            WHERE option_name = 'fillfactor'), 90) / 100 AS fill
    FROM pg_index AS entry
    JOIN pg_class AS relation ON relation.oid = entry.indexrelid AND relation.relkind = 'i'
    JOIN pg_class AS owner ON owner.oid = entry.indrelid
    JOIN pg_am AS method ON method.oid = relation.relam AND method.amname = 'btree'
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE entry.indisvalid
        AND relation.relpages::bigint * current_setting('block_size')::bigint > %(bloat_bytes)s
        AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
), widths AS (
    SELECT
        large.oid,
        large.indrelid,
        large.relpages,
        large.fill,
        large.reltuples,
        bool_and(figure.attname IS NOT NULL OR attribute.attlen > 0) AND large.reltuples >= 0 AS is_judged,
        sum((1 - coalesce(figure.null_frac, 0)) * coalesce(figure.avg_width, attribute.attlen)) AS data_width,
        CASE WHEN max(figure.null_frac) > 0 THEN 16 ELSE 8 END AS header_width
    FROM large
    JOIN pg_attribute AS attribute ON attribute.attrelid = large.oid
    LEFT JOIN pg_attribute AS source
        ON source.attrelid = large.indrelid AND source.attnum = large.indkey[attribute.attnum - 1] AND source.attnum > 0
    -- A column has its figures under the table, an expression under the index.
    LEFT JOIN pg_stats AS figure
        ON figure.schemaname = large.nspname
        AND figure.tablename = CASE WHEN source.attname IS NULL THEN large.index_name ELSE large.table_name END
        AND figure.attname = coalesce(source.attname, attribute.attname)
        AND NOT figure.inherited
    GROUP BY large.oid, large.indrelid, large.relpages, large.fill, large.reltuples
), needed AS (
    SELECT
        *,
        CASE WHEN is_judged THEN 1 + ceil(
            -- a page keeps 40 bytes for itself; the levels above the leaves take about half a percent
            1.005 * reltuples * (4 + header_width + ceil(data_width / 8.0) * 8)
            / ((current_setting('block_size')::float8 - 40) * fill)
        ) END AS pages
    FROM widths
), listed AS (
    SELECT
        *,
        100.0 * (relpages - pages) / relpages AS percent,
        count(*) FILTER (WHERE NOT is_judged) OVER () AS unjudged,
        count(*) FILTER (WHERE 100.0 * (relpages - pages) / relpages > %(index_bloat_percent)s) OVER () AS total
    FROM needed
)
SELECT
    oid::regclass::text AS name,
    indrelid::regclass::text AS on_table,
    is_judged,
    relpages::float8 * current_setting('block_size')::float8 AS bytes,
    (relpages - pages) * current_setting('block_size')::float8 AS wasted_bytes,
    percent,
    unjudged,
    total
FROM listed
WHERE NOT is_judged OR percent > %(index_bloat_percent)s
ORDER BY is_judged DESC, relpages - pages DESC, 1
LIMIT 10
