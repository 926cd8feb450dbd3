-- The tables that sessions of one name are copying in or out right now.
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, p.tuples_processed
FROM pg_catalog.pg_stat_progress_copy AS p
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = p.pid
JOIN pg_catalog.pg_class AS c ON c.oid = p.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.datname = pg_catalog.current_database() AND a.application_name = %s
