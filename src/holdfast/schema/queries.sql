-- What is known of the file itself: which migrations it has, who may read it, how its clock is anchored.

-- name: has_migrations
SELECT 1 AS yes FROM sqlite_schema WHERE name = 'migrations'

-- name: has_tables
SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 1

-- name: list_migrations
SELECT name, checksum FROM migrations ORDER BY name

-- name: record_migration
INSERT INTO migrations (name, checksum, applied_ms) VALUES (:name, :checksum, :applied_ms)

-- name: get_min_reader
SELECT min_reader FROM readers

-- name: put_min_reader
INSERT INTO readers (one, min_reader) VALUES (1, :min_reader)
ON CONFLICT (one) DO UPDATE SET min_reader = excluded.min_reader

-- name: get_anchor
SELECT boot_id, wall_ms, boot_ms FROM clock_anchors WHERE boot_id = :boot_id

-- name: put_anchor
INSERT INTO clock_anchors (boot_id, wall_ms, boot_ms) VALUES (:boot_id, :wall_ms, :boot_ms)

-- name: latest_ms
-- The latest moment at which this file was certainly in use, and when the last lease in it ends.
SELECT
    (SELECT max(wall_ms) FROM clock_anchors) AS anchored_ms,
    (SELECT max(applied_ms) FROM migrations) AS applied_ms,
    (SELECT max(renewed_ms) FROM holds) AS renewed_ms,
    (SELECT max(expires_ms) FROM holds) AS expires_ms,
    (SELECT max(renewed_ms) FROM jobs WHERE status = 'running') AS job_renewed_ms,
    (SELECT max(expires_ms) FROM jobs WHERE status = 'running') AS job_expires_ms,
    (SELECT max(renewed_ms) FROM tasks WHERE status = 'running') AS task_renewed_ms,
    (SELECT max(expires_ms) FROM tasks WHERE status = 'running') AS task_expires_ms
