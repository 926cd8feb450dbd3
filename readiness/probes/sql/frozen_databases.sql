-- How old the oldest transaction number and multixact of each database are, oldest first.
SELECT
    datname::text AS database,
    quote_ident(datname) AS database_quoted,
    datname = current_database() AS is_this,
    datallowconn AS takes_connections,
    age(datfrozenxid) AS xid_age,
    mxid_age(datminmxid) AS mxid_age
FROM pg_database
ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC
LIMIT 10
