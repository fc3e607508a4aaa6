-- name: reserve_tasks
-- Differs: many writers; numbers come from the sequence.
SELECT nextval(pg_get_serial_sequence('tasks', 'task_id')) AS id FROM generate_series(1, CAST(:count AS BIGINT))

-- name: reserve_runs
-- Differs: as above.
SELECT nextval(pg_get_serial_sequence('task_runs', 'run_id')) AS id FROM generate_series(1, CAST(:count AS BIGINT))

-- name: known
-- Differs: how a list is unpacked.
SELECT source_id, task_id, comments, events, attachments
FROM board_imports
WHERE board_id = :board_id AND source = :source
    AND source_id IN (SELECT value FROM json_array_elements_text(CAST(:ids AS JSON)) AS value)

-- name: own
-- Differs: as above.
SELECT task_id, created_ms
FROM tasks
WHERE board_id = :board_id
    AND task_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:ids AS JSON)) AS value)

-- name: aliases
-- Differs: as above.
SELECT alias, task_id
FROM tasks
WHERE board_id = :board_id AND alias IN (SELECT value FROM json_array_elements_text(CAST(:ids AS JSON)) AS value)
