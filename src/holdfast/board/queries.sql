-- name: select_task
SELECT task_id, board_id, alias, title, body, status, archived_from, stage, priority, assignee, tenant, created_by,
    created_ms, changed_ms, ready_ms, due_ms, started_ms, ended_ms, gates_open, gates_vetoed, children_open, links,
    block_kind, block_reason, block_recurrences, failures, failures_max, failure, verdict, summary, result, metadata,
    workspace_kind, workspace, branch, time_max_ms, silence_max_ms, attempts, run_id, seq_events, owner, fence, taken_ms,
    renewed_ms, expires_ms, note
FROM tasks
WHERE {which}

-- name: which_id
task_id = :task_id

-- name: which_id_locked
-- The same row; until the end of the transaction nobody else changes it.
task_id = :task_id

-- name: which_alias
alias = :alias AND (CAST(:board AS TEXT) IS NULL OR board_id = (SELECT board_id FROM boards WHERE slug = :board))
ORDER BY board_id
LIMIT 2

-- name: which_titled
-- Looks at every task of the board: for people, who can wait for that.
board_id = :board_id AND status <> 'archived' AND lower(substr(title, 1, :length)) = lower(:beginning)
ORDER BY CASE WHEN lower(title) = lower(:beginning) THEN 0 ELSE 1 END,
    CASE WHEN status IN ('done', 'cancelled') THEN 1 ELSE 0 END, task_id DESC
LIMIT :limit

-- name: hold_links
-- The task, and from here to the end of the transaction nobody else links it, nor changes it or those it is linked to.
-- `again`: it is to be read again, now that this is so.
SELECT 0 AS again, task_id, board_id, alias, title, body, status, archived_from, stage, priority, assignee, tenant,
    created_by, created_ms, changed_ms, ready_ms, due_ms, started_ms, ended_ms, gates_open, gates_vetoed, children_open,
    links, block_kind, block_reason, block_recurrences, failures, failures_max, failure, verdict, summary, result,
    metadata, workspace_kind, workspace, branch, time_max_ms, silence_max_ms, attempts, run_id, seq_events, owner,
    fence, taken_ms, renewed_ms, expires_ms, note
FROM tasks
WHERE task_id = :task_id

-- name: hold_links_of_several
-- The same, before several end in one transaction: there is nothing to wait for where one writes at a time.
SELECT 1 AS held WHERE :task_ids <> ''

-- name: hold_links_of_board
-- Before a link is made: there is nothing to wait for, as above.
SELECT 1 AS held WHERE :board_id > 0

-- name: which_next
-- In the order of `tasks_in_order`: one row is read, however many wait.
board_id = :board_id AND status = '{status}'
ORDER BY priority DESC, ready_ms, task_id
LIMIT 1

-- name: which_next_free
-- The same row, to be claimed in this very transaction.
board_id = :board_id AND status = '{status}'
ORDER BY priority DESC, ready_ms, task_id
LIMIT 1

-- name: which_next_in_lane
-- The same of one lane.
board_id = :board_id AND status = '{status}' AND assignee = :assignee AND tenant = :tenant
ORDER BY priority DESC, ready_ms, task_id
LIMIT 1

-- name: which_at_once
-- The next task, when there is nothing to see to before it: none that is due, no lease that is over, no cap.
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

-- name: task_and_epoch
SELECT t.*, ({epoch}) AS epoch FROM ({task}) AS t

-- name: heads_of_lanes
-- The next task of each lane: the index `tasks_in_lanes` is entered once for each, however many wait in it.
WITH RECURSIVE heads (task_id, assignee, tenant, priority, ready_ms) AS (
    SELECT first.task_id, first.assignee, first.tenant, first.priority, first.ready_ms
    FROM (SELECT f.task_id, f.assignee, f.tenant, f.priority, f.ready_ms FROM tasks AS f
          WHERE f.board_id = :board_id AND f.status = '{status}'
          ORDER BY f.assignee, f.tenant, f.priority DESC, f.ready_ms, f.task_id
          LIMIT 1) AS first
    UNION ALL
    SELECT n.task_id, n.assignee, n.tenant, n.priority, n.ready_ms
    FROM heads AS h JOIN tasks AS n ON n.task_id = coalesce((
        SELECT t.task_id FROM tasks AS t
        WHERE t.board_id = :board_id AND t.status = '{status}' AND t.assignee = h.assignee AND t.tenant > h.tenant
        ORDER BY t.tenant, t.priority DESC, t.ready_ms, t.task_id
        LIMIT 1), (
        SELECT t.task_id FROM tasks AS t
        WHERE t.board_id = :board_id AND t.status = '{status}' AND t.assignee > h.assignee
        ORDER BY t.assignee, t.tenant, t.priority DESC, t.ready_ms, t.task_id
        LIMIT 1))
)
SELECT priority, ready_ms, task_id, assignee, tenant FROM heads

-- name: which_due
status = 'scheduled' AND board_id = :board_id AND due_ms <= :now_ms
ORDER BY due_ms
LIMIT :limit

-- name: which_expired
status = 'running' AND board_id = :board_id AND expires_ms <= :now_ms
ORDER BY expires_ms
LIMIT :limit

-- name: running
SELECT task_id, owner, expires_ms FROM tasks WHERE status = 'running' AND board_id = :board_id

-- name: which_id_free
-- One task, unless somebody else changes it right now.
task_id = :task_id

-- name: next_change
-- Read from the first entry of each index.
SELECT
    (SELECT min(due_ms) FROM tasks WHERE status = 'scheduled' AND board_id = :board_id) AS due_ms,
    (SELECT min(expires_ms) FROM tasks WHERE status = 'running' AND board_id = :board_id) AS expires_ms

-- name: insert_task
INSERT INTO tasks (board_id, alias, title, body, status, priority, assignee, tenant, created_by, created_ms, changed_ms,
    ready_ms, due_ms, block_kind, block_reason, block_recurrences, gates_open, gates_vetoed, links, failures_max,
    metadata, workspace_kind, workspace, branch, time_max_ms, silence_max_ms, seq_events)
VALUES (:board_id, :alias, :title, :body, :status, :priority, :assignee, :tenant, :created_by, :now_ms, :now_ms,
    :now_ms, :due_ms, :block_kind, :block_reason, :block_recurrences, :gates_open, :gates_vetoed, :links, :failures_max,
    :metadata, :workspace_kind, :workspace, :branch, :time_max_ms, :silence_max_ms, 1)
RETURNING task_id

-- name: put_task
-- Compare and set: the decision was made on this status, under this fence, after this many events.
UPDATE tasks
SET status = :status, archived_from = :archived_from, stage = :stage, ready_ms = :ready_ms, due_ms = :due_ms,
    started_ms = :started_ms, ended_ms = :ended_ms, block_kind = :block_kind, block_reason = :block_reason,
    block_recurrences = :block_recurrences, failures = :failures, failure = :failure, attempts = :attempts,
    run_id = :run_id, seq_events = :seq_events, owner = :owner, fence = :fence, taken_ms = :taken_ms,
    renewed_ms = :renewed_ms, expires_ms = :expires_ms, note = :note, changed_ms = :changed_ms{more}
WHERE task_id = :task_id AND status = :seen_status AND fence = :seen_fence AND seq_events = :seen_seq

-- name: with_words
, verdict = :verdict, summary = :summary, result = :result, metadata = :metadata

-- name: put_counts
UPDATE tasks
SET gates_open = :gates_open, gates_vetoed = :gates_vetoed, children_open = :children_open, links = :links
WHERE task_id = :task_id

-- name: renew
-- One that began before the last renewal, and came after it, takes nothing of that away.
UPDATE tasks
SET renewed_ms = CASE WHEN renewed_ms > :now_ms THEN renewed_ms ELSE :now_ms END,
    expires_ms = CASE WHEN renewed_ms > :now_ms AND expires_ms > :expires_ms THEN expires_ms ELSE :expires_ms END,
    note = :note
WHERE task_id = :task_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms

-- name: hand_over
UPDATE tasks
SET owner = :owner
WHERE task_id = :task_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms

-- name: hand_over_run
UPDATE task_runs
SET owner = :owner, log = coalesce(CAST(:log AS TEXT), log)
WHERE run_id = (SELECT run_id FROM tasks WHERE task_id = :task_id)

-- name: which_ends
-- Every claim, also those whose lease is over.
status = 'running'
ORDER BY task_id
LIMIT :limit

-- name: insert_run
INSERT INTO task_runs (task_id, attempt, stage, assignee, owner, fence, started_ms)
VALUES (:task_id, :attempt, :stage, :assignee, :owner, :fence, :now_ms)
RETURNING run_id

-- name: insert_run_of_no_length
INSERT INTO task_runs (task_id, attempt, stage, assignee, owner, fence, started_ms, ended_ms, outcome, summary, metadata)
VALUES (:task_id, :attempt, :stage, :assignee, '', :fence, :now_ms, :now_ms, :outcome, :summary, :metadata)
RETURNING run_id

-- name: end_run
UPDATE task_runs
SET ended_ms = :now_ms, outcome = :outcome, summary = :summary, metadata = :metadata, failure = :failure,
    exit_code = :exit_code
WHERE run_id = :run_id AND ended_ms IS NULL

-- name: insert_event
INSERT INTO task_events (board_id, task_id, seq, run_id, kind, payload, at_ms)
VALUES (:board_id, :task_id, :seq, :run_id, :kind, :payload, :now_ms)

-- name: drop_old_events
DELETE FROM task_events WHERE task_id = :task_id AND seq <= :seq

-- name: count_event
-- Something was said of a task that leaves it where it is.
UPDATE tasks
SET seq_events = seq_events + 1, changed_ms = :now_ms
WHERE task_id = :task_id
RETURNING board_id, seq_events, run_id

-- name: events_of_board
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE board_id = :board_id AND event_id > :after
ORDER BY event_id
LIMIT :limit

-- name: events_of_all
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE event_id > :after
ORDER BY event_id
LIMIT :limit

-- name: events_of_task
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE task_id = :task_id AND event_id > :after
ORDER BY event_id
LIMIT :limit

-- name: recent_events
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE board_id = :board_id
ORDER BY event_id DESC
LIMIT :limit

-- name: last_events
SELECT event_id, board_id, task_id, seq, run_id, kind, payload, at_ms FROM task_events
WHERE task_id = :task_id
ORDER BY seq DESC
LIMIT :limit

-- name: select_board
SELECT board_id, slug, name, description, workdir, running_max, created_ms, changed_ms, archived_ms FROM boards
WHERE {which}

-- name: which_slug
slug = :slug

-- name: which_slug_locked
-- The same row; claims under a cap of this board wait for each other here, or each would count without the other.
slug = :slug

-- name: which_board_id
board_id = :board_id

-- name: which_boards
archived_ms IS NULL OR :archived = 1
ORDER BY slug

-- name: insert_board
INSERT INTO boards (slug, name, description, workdir, running_max, created_ms, changed_ms)
VALUES (:slug, :name, :description, :workdir, :running_max, :now_ms, :now_ms)
ON CONFLICT (slug) DO NOTHING

-- name: put_board
UPDATE boards
SET name = :name, description = :description, workdir = :workdir, running_max = :running_max,
    archived_ms = :archived_ms, changed_ms = :now_ms
WHERE board_id = :board_id

-- name: list_caps
SELECT assignee, running_max FROM board_caps WHERE board_id = :board_id ORDER BY assignee

-- name: put_cap
INSERT INTO board_caps (board_id, assignee, running_max) VALUES (:board_id, :assignee, :running_max)
ON CONFLICT (board_id, assignee) DO UPDATE SET running_max = excluded.running_max

-- name: drop_cap
DELETE FROM board_caps WHERE board_id = :board_id AND assignee = :assignee

-- name: count_running
SELECT assignee, count(*) AS running FROM tasks
WHERE status = 'running' AND board_id = :board_id
GROUP BY assignee

-- name: put_request
INSERT INTO board_requests (board_id, request, task_id, scope) VALUES (:board_id, :request, 0, :scope)
ON CONFLICT (board_id, request) DO NOTHING

-- name: get_request
SELECT task_id, scope FROM board_requests WHERE board_id = :board_id AND request = :request

-- name: point_request
-- Compare and set: who asked for it meanwhile was first.
UPDATE board_requests
SET task_id = :task_id, scope = :scope
WHERE board_id = :board_id AND request = :request AND task_id = :seen_id

-- name: insert_link
INSERT INTO task_links (parent_id, child_id, gate) VALUES (:parent_id, :child_id, :gate)

-- name: drop_link
DELETE FROM task_links WHERE parent_id = :parent_id AND child_id = :child_id

-- name: get_link
SELECT gate FROM task_links WHERE parent_id = :parent_id AND child_id = :child_id

-- name: put_gate
UPDATE task_links SET gate = :gate WHERE parent_id = :parent_id AND child_id = :child_id

-- name: linked_to
-- Both ends of every link of a task, each in the order in which rows are locked.
SELECT child_id AS task_id, gate, 'child' AS role FROM task_links WHERE parent_id = :task_id
UNION ALL
SELECT parent_id, gate, 'parent' FROM task_links WHERE child_id = :task_id
ORDER BY 1

-- name: child_that_waits
-- A child that is not over, and begins only once :task_id is.
SELECT l.child_id AS task_id FROM task_links AS l JOIN tasks AS t ON t.task_id = l.child_id
WHERE l.parent_id = :task_id AND l.gate <> 'none' AND t.status NOT IN ('done', 'cancelled', 'archived')
ORDER BY 1
LIMIT 1

-- name: parent_that_waits
-- A parent that goes on once its children are over, of which :task_id would begin only after it.
SELECT l.parent_id AS task_id FROM task_links AS l JOIN tasks AS t ON t.task_id = l.parent_id
WHERE l.child_id = :task_id AND l.gate <> 'none' AND coalesce(t.archived_from, t.status) = 'blocked'
    AND t.block_kind = 'children'
ORDER BY 1
LIMIT 1

-- name: odd_waits
-- Parents that wait for their children, and children that wait for them.
SELECT l.parent_id, l.child_id FROM task_links AS l
JOIN tasks AS p ON p.task_id = l.parent_id
JOIN tasks AS c ON c.task_id = l.child_id
WHERE p.status = 'blocked' AND p.block_kind = 'children' AND l.gate <> 'none'
    AND c.status NOT IN ('done', 'cancelled', 'archived')
ORDER BY 1, 2
LIMIT :limit

-- name: is_ancestor
-- Whether :task_id is above :below, over any number of links.
WITH RECURSIVE above (task_id) AS (
    SELECT CAST(:below AS BIGINT)
    UNION
    SELECT l.parent_id FROM task_links AS l JOIN above AS a ON l.child_id = a.task_id
)
SELECT 1 AS yes FROM above WHERE task_id = :task_id
LIMIT 1

-- name: board_of
SELECT board_id FROM tasks WHERE task_id = :task_id

-- name: rebase_events
-- Events are numbered by their rows, here.
UPDATE boards SET board_id = board_id WHERE board_id = 0

-- name: list_runs
SELECT run_id, task_id, attempt, stage, assignee, owner, fence, started_ms, ended_ms, outcome, summary, metadata, failure,
    exit_code, log
FROM task_runs
WHERE task_id = :task_id
ORDER BY run_id

-- name: which_listed
board_id = :board_id AND status <> 'archived'
    AND (CAST(:assignee AS TEXT) IS NULL OR assignee = :assignee)
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)
    AND task_id < :below
ORDER BY task_id DESC
LIMIT :limit

-- name: which_listed_in_order
-- Those of one status, in the order in which they would be claimed.
board_id = :board_id AND status = :status
    AND (CAST(:assignee AS TEXT) IS NULL OR assignee = :assignee)
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)
    AND {after}
ORDER BY priority DESC, ready_ms, task_id
LIMIT :limit

-- name: after_in_priority
priority = :priority AND (ready_ms, task_id) > (:ready_ms, :task_id)

-- name: after_priority
priority < :priority

-- name: count_tasks
-- Of each status; of the blocked ones, by the kind of their block. Triggers keep it.
SELECT status, kind, tasks FROM board_counts WHERE board_id = :board_id

-- name: waiting_longest
-- The first of each priority waits longest in it; a hundred priorities are looked at.
WITH RECURSIVE firsts (priority, ready_ms) AS (
    SELECT f.priority, f.ready_ms
    FROM (SELECT t.priority, t.ready_ms FROM tasks AS t WHERE t.board_id = :board_id AND t.status = 'ready'
          ORDER BY t.priority DESC, t.ready_ms, t.task_id
          LIMIT 1) AS f
    UNION ALL
    SELECT n.priority, n.ready_ms
    FROM firsts AS f JOIN tasks AS n ON n.task_id = (
        SELECT t.task_id FROM tasks AS t
        WHERE t.board_id = :board_id AND t.status = 'ready' AND t.priority < f.priority
        ORDER BY t.priority DESC, t.ready_ms, t.task_id
        LIMIT 1)
)
SELECT min(ready_ms) AS ready_ms FROM (SELECT ready_ms FROM firsts LIMIT 100) AS seen

-- name: neighbours
SELECT l.parent_id, l.child_id, l.gate, t.title, t.status, t.archived_from, t.verdict, t.summary, t.metadata, t.ended_ms
FROM task_links AS l JOIN tasks AS t ON t.task_id = l.parent_id
WHERE l.child_id = :task_id
UNION ALL
SELECT l.parent_id, l.child_id, l.gate, t.title, t.status, t.archived_from, t.verdict, t.summary, t.metadata, t.ended_ms
FROM task_links AS l JOIN tasks AS t ON t.task_id = l.child_id
WHERE l.parent_id = :task_id
ORDER BY 1, 2

-- name: count_before
-- How many are claimed before this one, counted to a limit: nobody needs to know more exactly.
SELECT count(*) AS tasks FROM (
    SELECT 1 AS one FROM tasks
    WHERE board_id = :board_id AND status = :status
        AND (priority > :priority OR (priority = :priority AND (ready_ms, task_id) < (:ready_ms, :task_id)))
    LIMIT :limit
) AS before

-- name: last_runs
SELECT run_id, task_id, attempt, stage, assignee, owner, fence, started_ms, ended_ms, outcome, summary, metadata, failure,
    exit_code, log
FROM task_runs
WHERE task_id = :task_id
ORDER BY run_id DESC
LIMIT :limit

-- name: last_comments
SELECT author, body, created_ms FROM task_comments
WHERE task_id = :task_id
ORDER BY comment_id DESC
LIMIT :limit

-- name: attached
SELECT attachment_id, name, media_type, size_bytes FROM task_attachments
WHERE task_id = :task_id AND detached_ms IS NULL
ORDER BY attachment_id

-- name: put_words
UPDATE tasks
SET title = :title, body = :body, priority = :priority, assignee = :assignee, tenant = :tenant, branch = :branch,
    failures_max = :failures_max, time_max_ms = :time_max_ms, silence_max_ms = :silence_max_ms, summary = :summary,
    result = :result, metadata = :metadata, workspace_kind = :workspace_kind, workspace = :workspace
WHERE task_id = :task_id

-- name: put_board_of
UPDATE tasks SET board_id = :board_id WHERE task_id = :task_id

-- name: odd_tasks
-- Rows no rule of ours can have written.
SELECT task_id, status, archived_from, stage, block_kind, fence, owner, run_id, taken_ms, renewed_ms, expires_ms,
    gates_open, gates_vetoed, children_open, failures, seq_events
FROM tasks
WHERE (status = 'running' AND (fence = 0 OR owner = '' OR expires_ms <= renewed_ms OR run_id IS NULL))
   OR (status <> 'running' AND expires_ms <> renewed_ms)
   OR (fence > 0 AND NOT (fence > :fence_floor AND fence < :fence_ceiling))
   OR NOT (taken_ms <= renewed_ms AND renewed_ms <= expires_ms)
   OR renewed_ms > :now_ms
   OR (status = 'ready' AND (gates_open > 0 OR gates_vetoed > 0 OR stage <> 'work'))
   OR (status = 'todo' AND (gates_open = 0 OR gates_vetoed > 0 OR stage <> 'work'))
   OR (status = 'review' AND stage <> 'review')
   OR (status = 'blocked' AND block_kind IS NULL)
   OR (status = 'blocked' AND block_kind = 'veto' AND gates_vetoed = 0)
   OR (status = 'blocked' AND block_kind = 'children' AND children_open = 0)
   OR (status = 'cancelled' AND ended_ms IS NULL) OR (status = 'done' AND ended_ms IS NULL)
   OR NOT EXISTS (SELECT 1 FROM boards AS b WHERE b.board_id = tasks.board_id)
ORDER BY task_id
LIMIT :limit

-- name: all_links
-- Every link with both ends; an end that is not there is NULL.
SELECT l.parent_id, l.child_id, l.gate,
    p.status AS parent_status, p.archived_from AS parent_from, p.verdict AS parent_verdict, p.board_id AS parent_board,
    c.status AS child_status, c.board_id AS child_board
FROM task_links AS l
LEFT JOIN tasks AS p ON p.task_id = l.parent_id
LEFT JOIN tasks AS c ON c.task_id = l.child_id

-- name: all_counts
-- What tasks count of their links, where they count any.
SELECT task_id, gates_open, gates_vetoed, children_open, links FROM tasks
WHERE links > 0 OR gates_open > 0 OR gates_vetoed > 0 OR children_open > 0

-- name: odd_runs
-- Runs that go on without their task, or of no task.
SELECT r.run_id, r.task_id, t.status, t.run_id AS run_of_task FROM task_runs AS r
LEFT JOIN tasks AS t ON t.task_id = r.task_id
WHERE t.task_id IS NULL OR (r.ended_ms IS NULL AND (t.status <> 'running' OR t.run_id <> r.run_id))
ORDER BY r.run_id
LIMIT :limit

-- name: running_without_run
SELECT t.task_id FROM tasks AS t
WHERE t.status = 'running'
    AND NOT EXISTS (SELECT 1 FROM task_runs AS r WHERE r.run_id = t.run_id AND r.task_id = t.task_id
                    AND r.ended_ms IS NULL AND r.fence = t.fence)
ORDER BY t.task_id
LIMIT :limit

-- name: odd_board_counts
-- What triggers counted, beside what there is.
WITH found (board_id, status, kind, tasks) AS (
    SELECT board_id, status, CASE WHEN status = 'blocked' THEN coalesce(block_kind, '') ELSE '' END, count(*)
    FROM tasks
    GROUP BY 1, 2, 3
)
SELECT f.board_id, f.status, f.kind, f.tasks, coalesce(c.tasks, 0) AS counted
FROM found AS f LEFT JOIN board_counts AS c ON c.board_id = f.board_id AND c.status = f.status AND c.kind = f.kind
WHERE coalesce(c.tasks, 0) <> f.tasks
UNION ALL
SELECT c.board_id, c.status, c.kind, 0, c.tasks FROM board_counts AS c
WHERE c.tasks <> 0 AND NOT EXISTS (SELECT 1 FROM found AS f
                                   WHERE f.board_id = c.board_id AND f.status = c.status AND f.kind = c.kind)
ORDER BY 1, 2, 3

-- name: drop_board_counts
DELETE FROM board_counts

-- name: count_boards
INSERT INTO board_counts (board_id, status, kind, tasks)
SELECT board_id, status, CASE WHEN status = 'blocked' THEN coalesce(block_kind, '') ELSE '' END, count(*)
FROM tasks
GROUP BY 1, 2, 3

-- name: lost_requests
SELECT q.board_id, q.request, q.task_id FROM board_requests AS q
WHERE NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.task_id = q.task_id)
ORDER BY q.board_id, q.request
LIMIT :limit

-- name: list_owners
SELECT owner, min(task_id) AS task_id FROM tasks WHERE status = 'running' GROUP BY owner ORDER BY 2

-- name: odd_events
-- More events than are kept, or one that its task has not counted.
SELECT e.task_id, count(*) AS events, max(e.seq) AS last_seq, max(t.seq_events) AS counted FROM task_events AS e
LEFT JOIN tasks AS t ON t.task_id = e.task_id
GROUP BY e.task_id
HAVING count(*) > :most OR max(t.seq_events) IS NULL OR max(e.seq) <> max(t.seq_events)
ORDER BY e.task_id
LIMIT :limit

-- name: insert_comment
INSERT INTO task_comments (task_id, author, body, created_ms)
VALUES (:task_id, :author, :body, :now_ms)
RETURNING comment_id, task_id, author, body, created_ms

-- name: list_comments
SELECT comment_id, task_id, author, body, created_ms
FROM task_comments
WHERE task_id = :task_id AND comment_id > :after
ORDER BY comment_id
LIMIT :limit

-- name: insert_attachment
INSERT INTO task_attachments (task_id, name, media_type, size_bytes, sha256, added_by, created_ms)
VALUES (:task_id, :name, :media_type, :size_bytes, :sha256, :added_by, :created_ms)
RETURNING attachment_id, task_id, name, media_type, size_bytes, sha256, added_by, created_ms, detached_ms

-- name: insert_part
INSERT INTO task_attachment_parts (attachment_id, part, data) VALUES (:attachment_id, :part, :data)

-- name: list_attachments
SELECT attachment_id, task_id, name, media_type, size_bytes, sha256, added_by, created_ms, detached_ms
FROM task_attachments
WHERE task_id = :task_id AND (detached_ms IS NULL OR :detached = 1)
ORDER BY attachment_id

-- name: get_attachment
SELECT attachment_id, task_id, name, media_type, size_bytes, sha256, added_by, created_ms, detached_ms
FROM task_attachments
WHERE attachment_id = :attachment_id

-- name: get_part
SELECT data FROM task_attachment_parts WHERE attachment_id = :attachment_id AND part = :part

-- name: detach
UPDATE task_attachments SET detached_ms = :now_ms WHERE attachment_id = :attachment_id AND detached_ms IS NULL

-- name: drop_parts
DELETE FROM task_attachment_parts WHERE attachment_id = :attachment_id
