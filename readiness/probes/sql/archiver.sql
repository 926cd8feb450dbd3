-- One row: whether WAL archiving works.
SELECT
    archived_count,
    failed_count,
    last_archived_wal,
    last_failed_wal,
    extract(epoch FROM clock_timestamp() - last_archived_time)::float8 AS archived_seconds_ago,
    extract(epoch FROM clock_timestamp() - last_failed_time)::float8 AS failed_seconds_ago,
    coalesce(last_archived_time > last_failed_time, false) AS has_recovered
FROM pg_stat_archiver
