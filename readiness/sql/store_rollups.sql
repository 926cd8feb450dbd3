-- Adds hours that are over to their roll-ups, and to those of their days.
WITH hours AS MATERIALIZED (
    SELECT environment_id, kind, to_timestamp(hour * 3600) AS starts_at, up, down, maintenance, runs,
        duration_ms_sum, duration_ms_max
    FROM json_to_recordset(%s::json) AS one (
        environment_id bigint, kind text, hour bigint, up float8, down float8, maintenance float8, runs integer,
        duration_ms_sum bigint, duration_ms_max integer)
), periods AS (
    SELECT environment_id, kind, 'h' AS period, starts_at, sum(up), sum(down), sum(maintenance),
        sum(runs)::integer, sum(duration_ms_sum), max(duration_ms_max)
    FROM hours GROUP BY 1, 2, 4
    UNION ALL
    SELECT environment_id, kind, 'd', date_trunc('day', starts_at, 'UTC'), sum(up), sum(down), sum(maintenance),
        sum(runs)::integer, sum(duration_ms_sum), max(duration_ms_max)
    FROM hours GROUP BY 1, 2, 4
)
INSERT INTO readiness_proberollup AS rollup
    (environment_id, kind, period, starts_at, up_seconds, down_seconds, maintenance_seconds, runs, duration_ms_sum,
     duration_ms_max)
SELECT * FROM periods
ORDER BY environment_id, kind, period, starts_at
ON CONFLICT (environment_id, kind, period, starts_at) DO UPDATE SET
    up_seconds = rollup.up_seconds + excluded.up_seconds,
    down_seconds = rollup.down_seconds + excluded.down_seconds,
    maintenance_seconds = rollup.maintenance_seconds + excluded.maintenance_seconds,
    runs = rollup.runs + excluded.runs,
    duration_ms_sum = rollup.duration_ms_sum + excluded.duration_ms_sum,
    duration_ms_max = greatest(rollup.duration_ms_max, excluded.duration_ms_max)
