-- Large tables that take more pages than their rows need (an estimate from column widths), most wasted first; and how
-- many of them cannot be judged, because this role may not read their statistics or they have none.
WITH large AS (
    SELECT
        relation.oid,
        relation.relname,
        space.nspname,
        relation.relpages,
        relation.reltuples,
        coalesce((SELECT option_value::float8 FROM pg_options_to_table(relation.reloptions)
            WHERE option_name = 'fillfactor'), 100) / 100 AS fill
    FROM pg_class AS relation
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'm')
        AND relation.relpages::bigint * current_setting('block_size')::bigint > %(bloat_bytes)s
        AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
), widths AS (
    SELECT
        large.oid,
        large.relpages,
        large.fill,
        large.reltuples,
        bool_and(figure.attname IS NOT NULL OR attribute.attlen > 0) AND large.reltuples >= 0 AS is_judged,
        sum((1 - coalesce(figure.null_frac, 0)) * coalesce(figure.avg_width, attribute.attlen)) AS data_width,
        23 + CASE WHEN max(figure.null_frac) > 0 THEN (count(*) + 7) / 8 ELSE 0 END AS header_width
    FROM large
    JOIN pg_attribute AS attribute
        ON attribute.attrelid = large.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
    LEFT JOIN pg_stats AS figure
        ON figure.schemaname = large.nspname AND figure.tablename = large.relname
        AND figure.attname = attribute.attname AND NOT figure.inherited
    GROUP BY large.oid, large.relpages, large.fill, large.reltuples
), needed AS (
    SELECT
        *,
        CASE WHEN is_judged THEN ceil(
            -- a line pointer, the header and the data, both padded to 8 bytes; a page keeps 24 bytes for itself
            reltuples * (4 + ceil(header_width / 8.0) * 8 + ceil(data_width / 8.0) * 8)
            / ((current_setting('block_size')::float8 - 24) * fill)
        ) END AS pages
    FROM widths
), listed AS (
    SELECT
        *,
        100.0 * (relpages - pages) / relpages AS percent,
        count(*) FILTER (WHERE NOT is_judged) OVER () AS unjudged,
        count(*) FILTER (WHERE 100.0 * (relpages - pages) / relpages > %(table_bloat_percent)s) OVER () AS total
    FROM needed
)
SELECT
    oid::regclass::text AS name,
    is_judged,
    relpages::float8 * current_setting('block_size')::float8 AS bytes,
    (relpages - pages) * current_setting('block_size')::float8 AS wasted_bytes,
    percent,
    unjudged,
    total
FROM listed
WHERE NOT is_judged OR percent > %(table_bloat_percent)s
ORDER BY is_judged DESC, relpages - pages DESC, 1
LIMIT 10
