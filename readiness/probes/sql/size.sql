-- One row: what this database takes, and all databases of the server where the role may ask.
SELECT
    own.bytes AS database_bytes,
    CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN own.bytes + coalesce((
        SELECT sum(pg_database_size(oid)) FROM pg_database WHERE datname <> current_database()
    ), 0)::bigint END AS server_bytes
FROM (SELECT pg_database_size(current_database()) AS bytes OFFSET 0) AS own
