-- Constraints that were added NOT VALID and never checked against the rows that were there.
SELECT
    quote_ident(conname) AS name,
    conrelid::regclass::text AS on_table,
    CASE contype WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'not null' ELSE 'check' END AS what,
    count(*) OVER () AS total
FROM pg_constraint
WHERE NOT convalidated AND conrelid <> 0 AND conparentid = 0
ORDER BY 2, 1
LIMIT 10
