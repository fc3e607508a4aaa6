-- name: load_some
-- Differs: JSON.
SELECT file_id, path, zst, inode, size, mtime_ns, "offset", status, attempts, thread_id
FROM files
WHERE home_id = :home_id
  AND path IN (SELECT value FROM json_array_elements_text(CAST(:paths AS JSON)) AS each (value))

-- name: duplicates
-- Differs: JSON, hex.
SELECT path FROM files
WHERE home_id = :home_id AND status = 'duplicate'
  AND thread_id IN (SELECT decode(value, 'hex') FROM json_array_elements_text(CAST(:ids AS JSON)) AS each (value))

-- name: ask_again
-- Differs: JSON, hex.
UPDATE files SET mtime_ns = 0
WHERE home_id = :home_id AND status = 'duplicate'
  AND thread_id IN (SELECT decode(value, 'hex') FROM json_array_elements_text(CAST(:ids AS JSON)) AS each (value))

-- name: next_file_id
-- Differs: others add files at the same time, so a block of ids is taken that nobody else gets.
SELECT nextval('file_id_blocks') * 65536 + 1 AS file_id
