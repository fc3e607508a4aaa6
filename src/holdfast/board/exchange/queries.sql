-- name: reserve_tasks
-- Ids for tasks to come, so that all their rows can be made before the first is written. One writes at a time.
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
SELECT (SELECT coalesce(max(task_id), 0) FROM tasks) + n AS id FROM numbers

-- name: reserve_runs
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
SELECT (SELECT coalesce(max(run_id), 0) FROM task_runs) + n AS id FROM numbers

-- name: known
SELECT source_id, task_id, comments, events, attachments
FROM board_imports
WHERE board_id = :board_id AND source = :source AND source_id IN (SELECT value FROM json_each(:ids))

-- name: own
-- Tasks of this very board that an export is of.
SELECT task_id, created_ms
FROM tasks
WHERE board_id = :board_id AND task_id IN (SELECT value FROM json_each(:ids))

-- name: aliases
SELECT alias, task_id
FROM tasks
WHERE board_id = :board_id AND alias IN (SELECT value FROM json_each(:ids))

-- name: import_task
INSERT INTO tasks (task_id, board_id, alias, title, body, status, archived_from, stage, priority, assignee, tenant,
    created_by, created_ms, changed_ms, ready_ms, due_ms, started_ms, ended_ms, gates_open, gates_vetoed, children_open,
    links, block_kind, block_reason, block_recurrences, failures, failures_max, failure, verdict, summary, result,
    metadata, workspace_kind, workspace, branch, time_max_ms, silence_max_ms, attempts, run_id, seq_events)
VALUES (:task_id, :board_id, :alias, :title, :body, :status, :archived_from, :stage, :priority, :assignee, :tenant,
    :created_by, :created_ms, :changed_ms, :ready_ms, :due_ms, :started_ms, :ended_ms, :gates_open, :gates_vetoed,
    :children_open, :links, :block_kind, :block_reason, :block_recurrences, :failures, :failures_max, :failure,
    :verdict, :summary, :result, :metadata, :workspace_kind, :workspace, :branch, :time_max_ms, :silence_max_ms,
    :attempts, :run_id, :seq_events)

-- name: import_run
INSERT INTO task_runs (run_id, task_id, attempt, stage, assignee, owner, fence, started_ms, ended_ms, outcome, summary,
    metadata, failure, exit_code, log)
VALUES (:run_id, :task_id, :attempt, :stage, :assignee, '', 0, :started_ms, :ended_ms, :outcome, :summary, :metadata,
    :failure, :exit_code, :log)

-- name: import_comment
INSERT INTO task_comments (task_id, author, body, created_ms) VALUES (:task_id, :author, :body, :created_ms)

-- name: import_event
INSERT INTO task_events (board_id, task_id, seq, run_id, kind, payload, at_ms)
VALUES (:board_id, :task_id, :seq, :run_id, :kind, :payload, :at_ms)

-- name: import_link
INSERT INTO task_links (parent_id, child_id, gate) VALUES (:parent_id, :child_id, :gate)

-- name: import_request
INSERT INTO board_requests (board_id, request, task_id, scope) VALUES (:board_id, :request, :task_id, :scope)
ON CONFLICT (board_id, request) DO NOTHING

-- name: add_children
-- Tasks that were here before got children.
UPDATE tasks
SET children_open = children_open + :children_open, links = links + :links
WHERE task_id = :task_id

-- name: put_import
INSERT INTO board_imports (board_id, source, source_id, task_id, comments, events, attachments)
VALUES (:board_id, :source, :source_id, :task_id, :comments, :events, 0)

-- name: mark_comments
UPDATE board_imports
SET comments = :comments
WHERE board_id = :board_id AND source = :source AND source_id = :source_id AND comments < :comments

-- name: mark_attachments
-- Compare and set: whoever marks a file writes it.
UPDATE board_imports
SET attachments = :attachments
WHERE board_id = :board_id AND source = :source AND source_id = :source_id AND attachments < :attachments

-- name: import_board
UPDATE boards
SET name = :name, description = :description, workdir = :workdir, running_max = :running_max,
    created_ms = :created_ms, archived_ms = :archived_ms
WHERE board_id = :board_id

-- name: count_tasks
SELECT count(*) AS found FROM tasks WHERE board_id = :board_id

-- name: which_page
board_id = :board_id AND task_id > :after
ORDER BY task_id
LIMIT :limit

-- name: page_parents
SELECT l.child_id AS task_id, l.parent_id, l.gate
FROM task_links AS l JOIN tasks AS t ON t.task_id = l.child_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last
ORDER BY l.child_id, l.parent_id

-- name: page_runs
SELECT r.task_id, r.run_id, r.attempt, r.stage, r.assignee, r.started_ms, r.ended_ms, r.outcome, r.summary, r.metadata,
    r.failure, r.exit_code, r.log
FROM task_runs AS r JOIN tasks AS t ON t.task_id = r.task_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last
ORDER BY r.task_id, r.attempt, r.run_id

-- name: page_comments
SELECT c.task_id, c.comment_id, c.author, c.body, c.created_ms
FROM task_comments AS c JOIN tasks AS t ON t.task_id = c.task_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last
ORDER BY c.task_id, c.comment_id

-- name: page_events
SELECT e.task_id, e.event_id, e.run_id AS run, e.kind, e.payload, e.at_ms
FROM task_events AS e JOIN tasks AS t ON t.task_id = e.task_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last
ORDER BY e.task_id, e.seq

-- name: page_attachments
SELECT a.task_id, a.attachment_id, a.name, a.media_type, a.size_bytes, a.sha256, a.added_by, a.created_ms
FROM task_attachments AS a JOIN tasks AS t ON t.task_id = a.task_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last AND a.detached_ms IS NULL
ORDER BY a.task_id, a.attachment_id

-- name: page_requests
SELECT q.task_id, q.request, q.scope
FROM board_requests AS q JOIN tasks AS t ON t.task_id = q.task_id AND t.board_id = q.board_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last
ORDER BY q.task_id, q.request

-- name: page_origins
SELECT i.task_id, i.source, i.source_id
FROM board_imports AS i JOIN tasks AS t ON t.task_id = i.task_id
WHERE t.board_id = :board_id AND t.task_id > :after AND t.task_id <= :last
ORDER BY i.task_id, i.source, i.source_id

-- name: briefs
SELECT task_id, title, status, priority, assignee, changed_ms
FROM tasks
WHERE board_id = :board_id
ORDER BY task_id
