-- Constraints and indexes that do not vouch for the rows that are there.
SELECT 'constraint ' || pg_catalog.quote_ident(k.conname) || ' of '
       || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(coalesce(c.relname, t.typname)) AS what
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
LEFT JOIN pg_catalog.pg_type AS t ON t.oid = k.contypid
WHERE NOT k.convalidated AND k.conparentid = 0 AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'
UNION ALL
SELECT 'index ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'
ORDER BY 1
