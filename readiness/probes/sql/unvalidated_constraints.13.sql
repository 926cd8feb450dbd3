-- Constraints that were added NOT VALID and never checked against the rows that were there.
SELECT
    quote_ident(conname) AS name,
    CASE WHEN conrelid = 0 THEN contypid::regtype::text ELSE conrelid::regclass::text END AS of_what,
    conrelid = 0 AS is_of_domain,
    CASE contype WHEN 'f' THEN 'foreign key' WHEN 'n' THEN 'not null' ELSE 'check' END AS what,
    count(*) OVER () AS total
FROM pg_constraint
WHERE NOT convalidated AND conparentid = 0
ORDER BY 2, 1
LIMIT 10
