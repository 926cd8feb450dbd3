-- The last runs of each environment's scenarios, newest first, through the index of the runs' history.
SELECT run.environment_id, run.data
FROM unnest(%s::bigint[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT environment_id, data, observed_at
    FROM readiness_proberun
    WHERE environment_id = asked.id AND kind = 'scenario'
    ORDER BY observed_at DESC
    LIMIT %s
) AS run
ORDER BY run.environment_id, run.observed_at DESC
