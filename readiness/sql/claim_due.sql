-- Claims what is due in one statement: locked rows are another claimer's, a claim that ran out lost its worker, or
-- waited too long for one. Those come first: with more to do than the workers manage, every schedule has its turn.
WITH due AS (
    SELECT schedule.id
    FROM readiness_probeschedule AS schedule
    JOIN readiness_environment AS environment ON environment.id = schedule.environment_id
    WHERE schedule.is_enabled AND environment.retired_at IS NULL AND schedule.kind <> ALL(%(heavy_kinds)s)
        AND (schedule.claimed_until <= %(now)s
            OR (schedule.claimed_until IS NULL AND schedule.next_run_at <= %(now)s))
    ORDER BY schedule.claimed_until NULLS LAST, schedule.next_run_at, schedule.id
    LIMIT %(limit)s
    FOR UPDATE OF schedule SKIP LOCKED
), heavy AS (
    SELECT schedule.id
    FROM readiness_probeschedule AS schedule
    JOIN readiness_environment AS environment ON environment.id = schedule.environment_id
    WHERE schedule.is_enabled AND environment.retired_at IS NULL AND schedule.kind = ANY(%(heavy_kinds)s)
        AND (schedule.claimed_until <= %(now)s
            OR (schedule.claimed_until IS NULL AND schedule.next_run_at <= %(now)s))
    ORDER BY schedule.claimed_until NULLS LAST, schedule.next_run_at, schedule.id
    LIMIT greatest(0, %(heavy_places)s - (
        SELECT count(*) FROM readiness_probeschedule AS busy
        WHERE busy.kind = ANY(%(heavy_kinds)s) AND busy.claimed_until > %(now)s))
    FOR UPDATE OF schedule SKIP LOCKED
)
UPDATE readiness_probeschedule AS schedule
SET claimed_until = CASE WHEN claimed.is_heavy THEN %(heavy_claimed_until)s ELSE %(claimed_until)s END,
    next_run_at = schedule.next_run_at + make_interval(secs => schedule.interval_seconds * (1 + greatest(-1, floor(
        extract(epoch FROM %(now)s - schedule.next_run_at) / schedule.interval_seconds)))
        + schedule.jitter_seconds * (2 * random() - 1))
FROM (SELECT id, false AS is_heavy FROM due UNION ALL SELECT id, true FROM heavy) AS claimed
WHERE schedule.id = claimed.id
RETURNING schedule.id
