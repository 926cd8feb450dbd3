-- Settings that must be on, settings that wait for a restart, and those worth knowing.
SELECT
    name,
    reset_val AS setting, -- what a session begins with: this one has been given timeouts of its own
    coalesce(unit, '') AS unit,
    pending_restart
FROM pg_settings
WHERE pending_restart
    OR name IN (
        'fsync', 'full_page_writes', 'autovacuum', 'track_counts', 'max_prepared_transactions', 'statement_timeout',
        'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout', 'data_checksums', 'wal_level',
        'shared_buffers', 'work_mem', 'max_slot_wal_keep_size', 'track_io_timing', 'password_encryption'
    )
ORDER BY name
