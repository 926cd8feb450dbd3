-- What a database is called by, belongs to and is held by: all that a swap by name has to keep or has to fear.
SELECT d.oid::pg_catalog.int8 AS oid,
       pg_catalog.pg_get_userbyid(d.datdba)::pg_catalog.text AS owner,
       d.datallowconn AS is_open,
       d.datconnlimit AS connection_limit,
       d.datistemplate AS is_template,
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END
         AS size_bytes,
       d.datacl IS NOT NULL AS has_acl,
       coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                   'role', CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
                   'privilege', a.privilege_type, 'is_grantable', a.is_grantable))
                 FROM pg_catalog.aclexplode(d.datacl) AS a), '[]') AS acl,
       coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                   'role', CASE WHEN s.setrole = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END,
                   'settings', pg_catalog.to_jsonb(s.setconfig)))
                 FROM pg_catalog.pg_db_role_setting AS s WHERE s.setdatabase = d.oid), '[]') AS settings,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', t.name, 'sessions', t.sessions))
                 FROM (SELECT coalesce(nullif(a.application_name, ''), a.usename::pg_catalog.text, '?') AS name,
                              pg_catalog.count(*) AS sessions
                       FROM pg_catalog.pg_stat_activity AS a
                       WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()
                       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) AS t), '[]') AS sessions,
       (SELECT coalesce(pg_catalog.jsonb_agg(s.slot_name), '[]') FROM pg_catalog.pg_replication_slots AS s
        WHERE s.database = d.datname) AS slots,
       (SELECT coalesce(pg_catalog.jsonb_agg(s.subname), '[]') FROM pg_catalog.pg_subscription AS s
        WHERE s.subdbid = d.oid) AS subscriptions,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = d.datname)
         AS prepared_transactions,
       r.rolsuper OR (r.rolcreatedb AND pg_catalog.pg_has_role(d.datdba, 'MEMBER')) AS may_rename,
       r.rolsuper OR pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER')
         OR NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity AS a
                        WHERE a.datid = d.oid AND a.usesysid IS NOT NULL
                          AND NOT pg_catalog.pg_has_role(a.usesysid, 'MEMBER')) AS may_end_sessions
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
WHERE d.datname = %s
