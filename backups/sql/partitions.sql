-- Every table, a row for each of its partitions at whatever depth; one row with NULLs where it has none.
WITH RECURSIVE below AS (
    SELECT i.inhparent AS root, i.inhrelid AS oid
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
    UNION ALL
    SELECT b.root, i.inhrelid FROM below AS b JOIN pg_catalog.pg_inherits AS i ON i.inhparent = b.oid
)
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
       pn.nspname::pg_catalog.text, p.relname::pg_catalog.text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN below AS b ON b.root = c.oid
LEFT JOIN pg_catalog.pg_class AS p ON p.oid = b.oid
LEFT JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p')
