SELECT environment_id, kind, status, pending_status, pending_count, observed_at, status_since, beats, standing, open_hour
FROM readiness_probestate
WHERE (environment_id, kind) IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))
ORDER BY environment_id, kind
FOR UPDATE
