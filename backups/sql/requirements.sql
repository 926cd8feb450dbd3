-- What a restore needs to find on its server: extensions, and the roles that own something or were granted something;
-- and its owner, which no dump of a single database holds. Not its settings: people keep secrets in them, and the
-- manifest is not encrypted.
SELECT (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                        'name', e.extname, 'version', e.extversion, 'schema', n.nspname) ORDER BY e.extname), '[]')
        FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace) AS extensions,
       (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT r.rolname), '[]')
        FROM pg_catalog.pg_shdepend AS s JOIN pg_catalog.pg_roles AS r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
          AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) AS roles,
       (SELECT pg_catalog.pg_get_userbyid(datdba)::pg_catalog.text FROM pg_catalog.pg_database
        WHERE datname = pg_catalog.current_database()) AS owner
