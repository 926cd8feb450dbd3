-- One row an environment: its newest proof is that of the database that is worst off.
WITH wanted AS (SELECT unnest(%s::bigint[]) AS environment_id),
newest_proof AS (
    SELECT d.environment_id, d.id, d.name, max(b.taken_at) AS taken_at
    FROM readiness_database AS d
    LEFT JOIN backups_backup AS b
           ON b.database_id = d.id AND b.sibling = '' AND b.state = 'done' AND b.proven_at IS NOT NULL AND b.damaged_at IS NULL
    WHERE d.environment_id = ANY (SELECT environment_id FROM wanted)
    GROUP BY d.environment_id, d.id, d.name
),
proofs AS (
    SELECT environment_id, min(taken_at) AS newest_proven_at,
           coalesce(array_agg(name ORDER BY id) FILTER (WHERE taken_at IS NULL), '{}') AS databases_without_proof
    FROM newest_proof GROUP BY environment_id
),
done AS (
    SELECT environment_id, max(taken_at) AS newest_done_at FROM backups_backup
    WHERE state = 'done' AND damaged_at IS NULL
      -- A dump from elsewhere is no backup of anything here.
      AND metadata -> 'origin' IS NULL AND environment_id = ANY (SELECT environment_id FROM wanted)
    GROUP BY environment_id
),
failed AS (
    SELECT DISTINCT ON (environment_id) environment_id, finished_at AS last_failed_at, error AS last_error
    FROM backups_backup
    WHERE state = 'failed' AND trigger <> 'import' AND environment_id = ANY (SELECT environment_id FROM wanted)
    ORDER BY environment_id, finished_at DESC NULLS LAST
),
awaited AS (
    -- The last time that no backup has followed, else the next time.
    SELECT d.environment_id,
           min(CASE WHEN s.last_requested_at IS NOT NULL AND NOT EXISTS (
                   SELECT FROM backups_backup AS b
                   WHERE b.database_id = d.id AND b.state = 'done' AND b.taken_at >= s.last_requested_at
               ) THEN s.last_requested_at ELSE s.next_run_at END) AS awaited_since
    FROM backups_backupschedule AS s JOIN readiness_database AS d ON d.id = s.database_id
    WHERE s.is_enabled AND d.environment_id = ANY (SELECT environment_id FROM wanted)
    GROUP BY d.environment_id
)
SELECT w.environment_id, p.newest_proven_at, d.newest_done_at, f.last_failed_at, coalesce(f.last_error, ''),
       coalesce(p.databases_without_proof, '{}'), a.awaited_since
FROM wanted AS w
LEFT JOIN proofs AS p USING (environment_id)
LEFT JOIN done AS d USING (environment_id)
LEFT JOIN failed AS f USING (environment_id)
LEFT JOIN awaited AS a USING (environment_id)
