-- Transactions that were prepared for two-phase commit and left, oldest first, of any database.
SELECT
    gid,
    quote_literal(gid) AS gid_quoted,
    database::text,
    owner::text AS role,
    extract(epoch FROM clock_timestamp() - prepared)::float8 AS age_seconds,
    count(*) OVER () AS total
FROM pg_prepared_xacts
WHERE prepared <= clock_timestamp() - %(prepared_warn_seconds)s * interval '1 second'
ORDER BY prepared
LIMIT 10
