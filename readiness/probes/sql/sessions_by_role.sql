-- Sessions of this database by role, without tools, backups and ourselves; the application's role even without any.
SELECT
    role.rolname::text AS role,
    quote_ident(role.rolname) AS role_quoted,
    role.rolsuper AS is_superuser,
    role.rolname = %(application_role)s AS is_application,
    role.rolconnlimit AS connection_limit,
    count(session.pid) AS sessions,
    count(session.pid) FILTER (WHERE encryption.ssl OR session.client_addr IS NULL
        OR session.client_addr <<= '127.0.0.0/8' OR session.client_addr = '::1') AS protected_sessions,
    max(extract(epoch FROM clock_timestamp() - session.backend_start))::float8 AS oldest_seconds,
    percentile_disc(0.5) WITHIN GROUP (
        ORDER BY extract(epoch FROM clock_timestamp() - session.backend_start)::float8
    ) AS median_seconds
FROM pg_roles AS role
LEFT JOIN pg_stat_activity AS session
    ON session.usesysid = role.oid
    AND session.datname = current_database()
    AND session.pid <> pg_backend_pid()
    AND coalesce(session.backend_type, 'client backend') = 'client backend'
    AND session.application_name !~* '^(preflight|psql|pg_dump|pg_restore|pgadmin|dbeaver|datagrip)'
LEFT JOIN pg_stat_ssl AS encryption ON encryption.pid = session.pid
GROUP BY role.oid, role.rolname, role.rolsuper, role.rolconnlimit
HAVING count(session.pid) > 0 OR role.rolname = %(application_role)s
ORDER BY role.rolname = %(application_role)s DESC, count(session.pid) DESC
LIMIT 10
