-- The ledger: one row per rollout file of a home.

-- name: load
SELECT file_id, path, zst, inode, size, mtime_ns, offset, status, attempts, thread_id
FROM files WHERE home_id = :home_id

-- name: load_some
SELECT file_id, path, zst, inode, size, mtime_ns, offset, status, attempts, thread_id
FROM files WHERE home_id = :home_id AND path IN (SELECT value FROM json_each(:paths))

-- name: get_facts
SELECT facts FROM files WHERE file_id = :file_id

-- name: next_file_id
SELECT coalesce(max(file_id), 0) + 1 AS file_id FROM files

-- name: put_file
INSERT INTO files (file_id, home_id, path, zst, inode, size, mtime_ns, offset, status, attempts,
    problems, facts, thread_id)
VALUES (:file_id, :home_id, :path, :zst, :inode, :size, :mtime_ns, :offset, :status, :attempts,
    :problems, :facts, :thread_id)
ON CONFLICT (file_id) DO UPDATE SET
    zst = excluded.zst, inode = excluded.inode, size = excluded.size, mtime_ns = excluded.mtime_ns,
    offset = excluded.offset, status = excluded.status, attempts = excluded.attempts,
    problems = excluded.problems, facts = excluded.facts, thread_id = excluded.thread_id

-- name: set_status
UPDATE files SET status = :status WHERE file_id = :file_id

-- name: duplicates
-- Files that say they are one of these threads, though another file spoke for it.
SELECT path FROM files
WHERE home_id = :home_id AND status = 'duplicate' AND thread_id IN (SELECT unhex(value) FROM json_each(:ids))

-- name: forget_gone
-- A file that is gone and speaks for no thread leaves nothing to remember.
DELETE FROM files
WHERE home_id = :home_id AND status = 'gone'
  AND NOT EXISTS (SELECT 1 FROM threads WHERE threads.file_id = files.file_id)

-- name: problems
SELECT path, status, problems, attempts FROM files
WHERE home_id = :home_id AND (status NOT IN ('ok', 'gone') OR problems IS NOT NULL)
ORDER BY path

-- name: count_files
SELECT count(*) AS files, count(*) FILTER (WHERE status NOT IN ('ok', 'duplicate', 'gone')) AS failed,
    CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes
FROM files WHERE home_id = :home_id AND status <> 'gone'
