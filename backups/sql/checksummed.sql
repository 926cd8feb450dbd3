-- Tables small enough for a checksum, with the columns that a dump carries. By name, because inherited columns may
-- come back in another order.
SELECT n.nspname::pg_catalog.text AS schema_name, c.relname::pg_catalog.text AS table_name,
       pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attname) AS columns
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a
  ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind = 'r'
  AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'
  AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_table_size(c.oid) < %s
GROUP BY c.oid, n.nspname, c.relname
ORDER BY 1, 2
