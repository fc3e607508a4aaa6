-- The ledger: one row per rollout file of a home.

-- name: load
SELECT file_id, path, zst, inode, size, mtime_ns, "offset", status, attempts, thread_id
FROM files WHERE home_id = :home_id

-- name: load_some
SELECT file_id, path, zst, inode, size, mtime_ns, "offset", status, attempts, thread_id
FROM files WHERE home_id = :home_id AND path IN (SELECT value FROM json_each(:paths))

-- name: newest
SELECT f.file_id, f.path, f.zst, f.inode, f.size, f.mtime_ns, f.offset, f.status, f.attempts, f.thread_id
FROM (SELECT file_id FROM threads WHERE home_id = :home_id AND archived = 0 AND missing_since_ms IS NULL
      ORDER BY updated_ms DESC LIMIT :limit) t
JOIN files f ON f.file_id = t.file_id

-- name: get_facts
SELECT facts FROM files WHERE file_id = :file_id

-- name: next_file_id
SELECT coalesce(max(file_id), 0) + 1 AS file_id FROM files

-- name: put_file
INSERT INTO files (file_id, home_id, path, zst, inode, size, mtime_ns, "offset", status, attempts,
    problems, facts, thread_id)
VALUES (:file_id, :home_id, :path, :zst, :inode, :size, :mtime_ns, :offset, :status, :attempts,
    :problems, :facts, :thread_id)
ON CONFLICT (file_id) DO UPDATE SET
    zst = excluded.zst, inode = excluded.inode, size = excluded.size, mtime_ns = excluded.mtime_ns,
    "offset" = excluded.offset, status = excluded.status, attempts = excluded.attempts,
    problems = excluded.problems, facts = excluded.facts, thread_id = excluded.thread_id

-- name: set_packed
-- The same text under another name. `offset` counts bytes of text, so it stays.
UPDATE files SET zst = 1, size = :size, inode = :inode
WHERE home_id = :home_id AND path = :path AND zst = 0
  AND size = :size_before AND inode = :inode_before AND mtime_ns = :mtime_ns

-- name: set_status
UPDATE files SET status = :status WHERE file_id = :file_id

-- name: duplicates
-- Files that say they are one of these threads, though another file spoke for it.
SELECT path FROM files
WHERE home_id = :home_id AND status = 'duplicate' AND thread_id IN (SELECT unhex(value) FROM json_each(:ids))

-- name: ask_again
-- No file was last written in 1970: whoever looks next finds them changed.
UPDATE files SET mtime_ns = 0
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
-- `+`: every row is read, and the table itself is the shortest way to them all. 65 ms for a million.
SELECT count(*) AS files, count(*) FILTER (WHERE status NOT IN ('ok', 'duplicate', 'gone')) AS failed,
    CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes
FROM files WHERE +home_id = :home_id AND status <> 'gone'

-- name: count_files_to
-- Counts no further than `limit`: what asks only wants to know whether there are more.
SELECT count(*) AS files FROM (SELECT 1 FROM files WHERE home_id = :home_id LIMIT :limit) AS counted

-- name: unheard_files
-- For the probe: files that were read and say which thread they are, while no thread has them.
SELECT h.path AS home, f.path, f.status, f.thread_id
FROM files f
JOIN homes h ON h.home_id = f.home_id
LEFT JOIN threads t ON t.home_id = f.home_id AND t.thread_id = f.thread_id
WHERE f.status = 'ok' AND t.file_id IS DISTINCT FROM f.file_id
   OR f.status = 'duplicate' AND (t.n IS NULL OR t.missing_since_ms IS NOT NULL)
ORDER BY f.file_id LIMIT 100

-- name: odd_files
-- Rows no scan can have written. `offset` counts bytes of text, `size` those of the file.
SELECT h.path AS home, f.path, f.status, f.size, f.offset, f.zst, f.thread_id
FROM files f JOIN homes h ON h.home_id = f.home_id
WHERE f.status NOT IN ('ok', 'duplicate', 'empty', 'no-meta', 'not-regular', 'unreadable', 'gone')
   OR f.status IN ('ok', 'duplicate') AND f.thread_id IS NULL
   OR f.zst = 0 AND f.offset > f.size
ORDER BY f.file_id LIMIT 100

-- name: kept_texts
SELECT h.path AS home, f.path, f.facts, f.problems, f.thread_id
FROM files f JOIN homes h ON h.home_id = f.home_id
WHERE f.facts IS NOT NULL OR f.problems IS NOT NULL
ORDER BY f.file_id
