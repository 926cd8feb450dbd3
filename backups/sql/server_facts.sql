-- What a server is and what the connected role may do there.
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS server_version_num,
       r.rolsuper OR r.rolcreatedb AS may_create_databases,
       r.rolsuper AS is_superuser,
       r.rolcreaterole AS may_create_roles,
       (SELECT pg_catalog.array_agg(name::pg_catalog.text) FROM pg_catalog.pg_available_extensions) AS extensions,
       (SELECT pg_catalog.array_agg(rolname::pg_catalog.text) FROM pg_catalog.pg_roles) AS roles,
       (SELECT pg_catalog.array_agg(datname::pg_catalog.text) FROM pg_catalog.pg_database) AS databases
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = current_user
