-- The newest size of a database on each of the last days: one look into the index a day, however many runs there are.
SELECT run.observed_at, run.used_bytes
FROM generate_series(0, %(days)s) AS day
CROSS JOIN LATERAL (
    SELECT observed_at,
        (coalesce(data #> ARRAY['targets', %(name)s], data) #>> '{size,used_bytes}')::bigint AS used_bytes
    FROM readiness_proberun
    WHERE environment_id = %(environment_id)s AND kind = 'postgres'
        AND observed_at >= date_trunc('day', %(now)s) - make_interval(days => day)
        AND observed_at < date_trunc('day', %(now)s) - make_interval(days => day - 1)
    ORDER BY observed_at DESC
    LIMIT 1
) AS run
WHERE run.used_bytes IS NOT NULL
