-- name: which_id_locked
-- Differs: many writers.
task_id = :task_id
FOR UPDATE

-- name: hold_links
-- Differs: many writers. Locked is every row that its end may change, in one order. It is read again, as it is once that
-- was waited for.
SELECT 1 AS again FROM (SELECT hold_links(CAST(:task_id AS BIGINT))) AS held

-- name: hold_links_of_several
-- Differs: as above.
SELECT hold_links(VARIADIC CAST(string_to_array(:task_ids, ',') AS BIGINT[])) AS held

-- name: hold_links_of_board
-- Differs: many writers. One at a time looks whether a link closes a circle, and makes it.
SELECT pg_advisory_xact_lock(links_key(:board_id)) AS held

-- name: which_next_free
-- Differs: PostgreSQL has many writers. Each takes a row no other has locked, so ten workers that ask at once get ten
-- different tasks, and none waits.
board_id = :board_id AND status = '{status}'
ORDER BY priority DESC, ready_ms, task_id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: which_next_in_lane
-- Differs: as above.
board_id = :board_id AND status = '{status}' AND assignee = :assignee AND tenant = :tenant
ORDER BY priority DESC, ready_ms, task_id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: which_at_once
-- Differs: as above.
board_id = (SELECT b.board_id FROM boards AS b
            WHERE b.slug = :board AND b.archived_ms IS NULL AND b.running_max IS NULL
                AND NOT EXISTS (SELECT 1 FROM board_caps AS c WHERE c.board_id = b.board_id)
                AND NOT EXISTS (SELECT 1 FROM tasks AS r WHERE r.status = 'scheduled' AND r.board_id = b.board_id
                                AND r.due_ms <= :now_ms)
                AND NOT EXISTS (SELECT 1 FROM tasks AS r WHERE r.status = 'running' AND r.board_id = b.board_id
                                AND r.expires_ms <= :now_ms)
                AND NOT EXISTS (SELECT 1 FROM tasks AS r WHERE r.status = 'review' AND r.board_id = b.board_id
                                AND :reviews = 1))
    AND status = 'ready'
ORDER BY priority DESC, ready_ms, task_id
LIMIT 1
FOR UPDATE OF tasks SKIP LOCKED

-- name: which_due
-- Differs: two that wake the same tasks at once each take other rows, and cannot lock each other out.
status = 'scheduled' AND board_id = :board_id AND due_ms <= :now_ms
ORDER BY due_ms
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: which_expired
-- Differs: one worker at a time sees to each task that was lost.
status = 'running' AND board_id = :board_id AND expires_ms <= :now_ms
ORDER BY expires_ms
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: which_id_free
-- Differs: many writers.
task_id = :task_id
FOR UPDATE SKIP LOCKED

-- name: which_slug_locked
-- Differs: many writers.
slug = :slug
FOR NO KEY UPDATE

-- name: events_of_board
-- Differs: transactions end in another order than they began; what may still come before a number is waited for.
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE board_id = :board_id AND event_id > :after AND event_id < events_before()
ORDER BY event_id
LIMIT :limit

-- name: events_of_all
-- Differs: as above.
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE event_id > :after AND event_id < events_before()
ORDER BY event_id
LIMIT :limit

-- name: events_of_task
-- Differs: as above.
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE task_id = :task_id AND event_id > :after AND event_id < events_before()
ORDER BY event_id
LIMIT :limit

-- name: recent_events
-- Differs: as above.
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE board_id = :board_id AND event_id < events_before()
ORDER BY event_id DESC
LIMIT :limit

-- name: rebase_events
-- Differs: numbers of transactions may begin anew here; events to come are numbered beyond those there are.
UPDATE counters
SET value = greatest(value, 1 + (SELECT coalesce(max(event_id), 0) FROM task_events)
                            - (pg_current_xact_id()::text::bigint << 20))
WHERE name = 'events_base'

-- name: count_tasks
-- Differs: counters would be rows for which all claims of a board wait. Counted from an index; the blocked ones are read.
SELECT status, '' AS kind, count(*) AS tasks FROM tasks
WHERE board_id = :board_id AND status <> 'blocked'
GROUP BY status
UNION ALL
SELECT 'blocked', coalesce(block_kind, ''), count(*) FROM tasks
WHERE board_id = :board_id AND status = 'blocked'
GROUP BY 2

-- name: odd_board_counts
-- Differs: nothing is counted.
SELECT board_id, status, '' AS kind, 0 AS tasks, 0 AS counted FROM tasks WHERE false

-- name: drop_board_counts
-- Differs: nothing is counted.
SELECT 1 AS nothing

-- name: count_boards
-- Differs: nothing is counted.
SELECT 1 AS nothing
