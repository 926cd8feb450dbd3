-- Runs and states of one batch in one statement. A state is adopted with its findings, or, while a change
-- waits to be confirmed, only told so: then the findings of the status that still counts stay.
WITH incoming AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS one (
        environment_id bigint, kind text, status text, reason text, summary text, findings jsonb, data jsonb,
        duration_ms integer, observed_at timestamptz, in_maintenance boolean, is_newest boolean, is_adopted boolean,
        confirmed_status text, status_since timestamptz, pending_status text, pending_count smallint,
        standing text, beats text, open_hour jsonb)
), runs AS (
    INSERT INTO readiness_proberun
        (environment_id, kind, status, reason, summary, findings, data, duration_ms, observed_at, in_maintenance)
    SELECT environment_id, kind, status, reason, summary, findings, data, duration_ms, observed_at, in_maintenance
    FROM incoming
), adopted AS (
    INSERT INTO readiness_probestate AS state
        (environment_id, kind, status, reason, summary, findings, data, duration_ms, observed_at, status_since,
         pending_status, pending_count, pending_summary, standing, beats, open_hour)
    SELECT environment_id, kind, confirmed_status, reason, summary, findings, data, duration_ms, observed_at,
           status_since, '', 0, '', standing, beats, open_hour
    FROM incoming WHERE is_newest AND is_adopted ORDER BY environment_id, kind
    ON CONFLICT (environment_id, kind) DO UPDATE SET
        status = excluded.status, reason = excluded.reason, summary = excluded.summary,
        findings = excluded.findings, data = excluded.data, duration_ms = excluded.duration_ms,
        observed_at = excluded.observed_at, status_since = excluded.status_since, pending_status = '',
        pending_count = 0, pending_summary = '', standing = excluded.standing, beats = excluded.beats,
        open_hour = excluded.open_hour
    WHERE state.observed_at < excluded.observed_at
)
UPDATE readiness_probestate AS state SET
    observed_at = one.observed_at, pending_status = one.pending_status, pending_count = one.pending_count,
    pending_summary = one.summary, standing = one.standing, beats = one.beats, open_hour = one.open_hour
FROM incoming AS one
WHERE one.is_newest AND NOT one.is_adopted
    AND state.environment_id = one.environment_id AND state.kind = one.kind
    AND state.observed_at < one.observed_at
