-- What the connected role may read of all that a dump holds.
WITH dumped AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS is_read,
           c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AS is_hidden
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S', 'm')
      AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'
      AND n.nspname <> 'information_schema'
      AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS server_version_num,
       pg_catalog.pg_database_size(pg_catalog.current_database()) AS database_size_bytes,
       (SELECT pg_catalog.count(*) FROM dumped WHERE NOT is_read) AS unreadable_count,
       (SELECT pg_catalog.min(name) FROM dumped WHERE NOT is_read) AS unreadable,
       (SELECT pg_catalog.min(name) FROM dumped WHERE is_read AND is_hidden) AS hidden,
       pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may_read_passwords,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_control
