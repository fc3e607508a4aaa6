-- What is asked of a board of Hermes. Every statement costs what it finds, or one pass over an index; none writes.
-- Times there are whole seconds.

-- name: columns
SELECT t.name AS table_name, c.name AS column_name
FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'

-- name: claims
-- Every task that runs, with the run it is at.
SELECT t.id, t.claim_lock, t.claim_expires, t.worker_pid, r.started_at AS run_started_at
FROM tasks AS t LEFT JOIN task_runs AS r ON r.id = t.current_run_id
WHERE t.status = 'running' ORDER BY t.claim_expires, t.id LIMIT :limit

-- name: unknown_statuses
SELECT status, count(*) AS tasks, min(id) AS id FROM tasks
WHERE status NOT IN (SELECT value FROM json_each(:known)) GROUP BY status ORDER BY status LIMIT :limit

-- name: duplicate_keys
-- A key of a task that was archived may be given again.
SELECT idempotency_key, count(*) AS tasks, min(id) AS one, max(id) AS other FROM tasks
WHERE idempotency_key <> '' AND status <> 'archived'
GROUP BY idempotency_key HAVING count(*) > 1 ORDER BY idempotency_key LIMIT :limit

-- name: dangling_links
SELECT parent_id, child_id, p.id IS NULL AS no_parent, c.id IS NULL AS no_child FROM task_links AS l
LEFT JOIN tasks AS p ON p.id = l.parent_id LEFT JOIN tasks AS c ON c.id = l.child_id
WHERE p.id IS NULL OR c.id IS NULL LIMIT :limit

-- name: open_links
-- Links that hold somebody back.
SELECT l.parent_id, l.child_id FROM task_links AS l
JOIN tasks AS p ON p.id = l.parent_id AND p.status NOT IN ('done', 'archived')
JOIN tasks AS c ON c.id = l.child_id AND c.status NOT IN ('done', 'archived')
LIMIT :limit

-- name: never_promoted
-- Tasks that wait for parents who are all over, and nothing was noted of either since `before_s`.
SELECT t.id FROM tasks AS t
WHERE t.status = 'todo'
    AND EXISTS (SELECT 1 FROM task_links AS l WHERE l.child_id = t.id)
    AND NOT EXISTS (
        SELECT 1 FROM task_links AS l LEFT JOIN tasks AS p ON p.id = l.parent_id
        WHERE l.child_id = t.id AND (p.id IS NULL OR p.status NOT IN ('done', 'archived')))
    AND NOT EXISTS (
        SELECT 1 FROM task_events AS e
        WHERE e.created_at >= :before_s AND e.task_id IN (
            SELECT t.id UNION ALL SELECT l.parent_id FROM task_links AS l WHERE l.child_id = t.id))
LIMIT :limit

-- name: ready_too_early
-- Tasks that are ready while a parent is open, other than those a person promoted.
SELECT t.id, min(p.id) AS parent FROM tasks AS t
JOIN task_links AS l ON l.child_id = t.id
JOIN tasks AS p ON p.id = l.parent_id AND p.status NOT IN ('done', 'archived')
WHERE t.status = 'ready'
    AND NOT EXISTS (SELECT 1 FROM task_events AS e WHERE e.task_id = t.id AND e.kind = 'promoted_manual')
GROUP BY t.id LIMIT :limit

-- name: runs_left_open
SELECT r.id, r.task_id, t.status FROM task_runs AS r JOIN tasks AS t ON t.id = r.task_id
WHERE r.status = 'running' AND r.ended_at IS NULL AND (t.status <> 'running' OR t.current_run_id IS NOT r.id)
ORDER BY r.id LIMIT :limit

-- name: running_without_run
SELECT t.id FROM tasks AS t LEFT JOIN task_runs AS r ON r.id = t.current_run_id
WHERE t.status = 'running' AND (r.id IS NULL OR r.ended_at IS NOT NULL) ORDER BY t.id LIMIT :limit

-- name: respawned
SELECT task_id, count(*) AS runs FROM task_runs WHERE started_at >= :after_s
GROUP BY task_id HAVING count(*) > :most ORDER BY runs DESC LIMIT :limit

-- name: many_events
SELECT task_id, count(*) AS events FROM task_events GROUP BY task_id HAVING count(*) > :most
ORDER BY events DESC LIMIT :limit

-- name: kinds_of_events
SELECT kind, count(*) AS events FROM task_events WHERE task_id = :task GROUP BY kind ORDER BY events DESC LIMIT 3

-- name: comments_without_task
SELECT count(*) AS found, min(task_id) AS one FROM task_comments WHERE task_id NOT IN (SELECT id FROM tasks)

-- name: runs_without_task
SELECT count(*) AS found, min(task_id) AS one FROM task_runs WHERE task_id NOT IN (SELECT id FROM tasks)

-- name: subscriptions_without_task
SELECT count(*) AS found, min(task_id) AS one FROM kanban_notify_subs WHERE task_id NOT IN (SELECT id FROM tasks)
