-- Triggers that do not fire, by table; those behind foreign keys (internal) as one.
SELECT
    attached.tgrelid::regclass::text AS on_table,
    attached.tgisinternal AS is_internal,
    CASE WHEN NOT attached.tgisinternal THEN quote_ident(attached.tgname) END AS name,
    count(*) AS triggers,
    sum(count(*)) OVER () AS total
FROM pg_trigger AS attached
WHERE attached.tgenabled = 'D'
GROUP BY 1, 2, 3
ORDER BY 2 DESC, 1, 3
LIMIT 10
