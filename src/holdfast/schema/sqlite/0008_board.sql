-- Boards of tasks that many workers share. A task's row is its hold, too, as a job's is. What a task needs to know of
-- its parents and children is counted in its own row, so that an end costs as much as there are links, however large
-- the board is.

CREATE TABLE boards (
    board_id    INTEGER PRIMARY KEY,
    slug        TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL DEFAULT '',
    workdir     TEXT,
    running_max INTEGER CHECK (running_max >= 0),
    created_ms  INTEGER NOT NULL,
    changed_ms  INTEGER NOT NULL,
    archived_ms INTEGER
) STRICT;

INSERT INTO boards (slug, name, created_ms, changed_ms) VALUES ('default', 'default', 0, 0);

CREATE TABLE tasks (
    task_id           INTEGER PRIMARY KEY,
    board_id          INTEGER NOT NULL,
    alias             TEXT,                        -- the id it had where it was imported from
    title             TEXT    NOT NULL,
    body              TEXT    NOT NULL DEFAULT '',
    status            TEXT    NOT NULL
        CHECK (status IN ('triage', 'todo', 'scheduled', 'ready', 'running', 'blocked', 'review', 'done', 'cancelled',
                          'archived')),
    archived_from     TEXT CHECK ((archived_from IS NOT NULL) = (status = 'archived')),
    stage             TEXT    NOT NULL DEFAULT 'work' CHECK (stage IN ('work', 'review')),
    priority          INTEGER NOT NULL DEFAULT 0,
    assignee          TEXT    NOT NULL DEFAULT '',
    tenant            TEXT    NOT NULL DEFAULT '',
    created_by        TEXT    NOT NULL DEFAULT '',
    created_ms        INTEGER NOT NULL,
    changed_ms        INTEGER NOT NULL,
    ready_ms          INTEGER NOT NULL,            -- since when it could be claimed; the longest waiting comes first
    due_ms            INTEGER NOT NULL DEFAULT 0,  -- not before, while it is scheduled
    started_ms        INTEGER,                     -- the first claim
    ended_ms          INTEGER,
    gates_open        INTEGER NOT NULL DEFAULT 0 CHECK (gates_open >= 0),
    gates_vetoed      INTEGER NOT NULL DEFAULT 0 CHECK (gates_vetoed >= 0),
    children_open     INTEGER NOT NULL DEFAULT 0 CHECK (children_open >= 0),
    links             INTEGER NOT NULL DEFAULT 0 CHECK (links >= 0),
    block_kind        TEXT,                        -- of the last block; outlives it, so that a loop is seen
    block_reason      TEXT,
    block_recurrences INTEGER NOT NULL DEFAULT 0,
    failures          INTEGER NOT NULL DEFAULT 0,  -- in a row
    failures_max      INTEGER NOT NULL DEFAULT 3,
    failure           TEXT,                        -- the last one
    verdict           TEXT,
    summary           TEXT,
    result            TEXT,
    metadata          TEXT,
    workspace_kind    TEXT    NOT NULL DEFAULT 'scratch' CHECK (workspace_kind IN ('scratch', 'directory', 'worktree')),
    workspace         TEXT,
    branch            TEXT,
    time_max_ms       INTEGER,
    silence_max_ms    INTEGER,
    attempts          INTEGER NOT NULL DEFAULT 0,
    run_id            INTEGER,                     -- the run at hand, or the last one
    seq_events        INTEGER NOT NULL DEFAULT 0,  -- events it ever had
    owner             TEXT    NOT NULL DEFAULT '',
    fence             INTEGER NOT NULL DEFAULT 0,  -- 0: never claimed. Rows are never deleted, or it would start again
    taken_ms          INTEGER NOT NULL DEFAULT 0,
    renewed_ms        INTEGER NOT NULL DEFAULT 0,
    expires_ms        INTEGER NOT NULL DEFAULT 0,
    note              TEXT    NOT NULL DEFAULT ''
) STRICT;

-- What is claimed next, and any list of one status; then the same for each lane, where somebody takes only some.
CREATE INDEX tasks_in_order ON tasks (board_id, status, priority DESC, ready_ms, task_id);
CREATE INDEX tasks_in_lanes ON tasks (board_id, status, assignee, tenant, priority DESC, ready_ms, task_id)
    WHERE status = 'ready' OR status = 'review';
CREATE INDEX tasks_of_board ON tasks (board_id, task_id);
CREATE INDEX tasks_due ON tasks (board_id, due_ms) WHERE status = 'scheduled';
CREATE INDEX tasks_running ON tasks (board_id, expires_ms) WHERE status = 'running';
CREATE UNIQUE INDEX tasks_alias ON tasks (alias, board_id) WHERE alias IS NOT NULL;

CREATE TABLE task_links (
    parent_id INTEGER NOT NULL,
    child_id  INTEGER NOT NULL,
    gate      TEXT    NOT NULL CHECK (gate IN ('none', 'done', 'passed', 'failed', 'ended')),
    PRIMARY KEY (parent_id, child_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_links_up ON task_links (child_id, parent_id);

-- One row for each attempt.
CREATE TABLE task_runs (
    run_id     INTEGER PRIMARY KEY,
    task_id    INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    stage      TEXT    NOT NULL CHECK (stage IN ('work', 'review')),
    assignee   TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    fence      INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER,
    outcome    TEXT
        CHECK (outcome IN ('completed', 'review', 'changes', 'blocked', 'crashed', 'expired', 'timed_out', 'silent',
                           'spawn_failed', 'rate_limited', 'protocol', 'released', 'cancelled', 'reclaimed')),
    summary    TEXT,
    metadata   TEXT,
    failure    TEXT,
    exit_code  INTEGER,
    log        TEXT,
    CHECK ((ended_ms IS NULL) = (outcome IS NULL))
) STRICT;
CREATE INDEX task_runs_of ON task_runs (task_id, run_id);

CREATE TABLE task_comments (
    comment_id INTEGER PRIMARY KEY,
    task_id    INTEGER NOT NULL,
    author     TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX task_comments_of ON task_comments (task_id, comment_id);

-- The row of one that was taken off stays, without its parts: an id is never given again.
CREATE TABLE task_attachments (
    attachment_id INTEGER PRIMARY KEY,
    task_id       INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    size_bytes    INTEGER NOT NULL,
    sha256        TEXT    NOT NULL,
    added_by      TEXT    NOT NULL,
    created_ms    INTEGER NOT NULL,
    detached_ms   INTEGER
) STRICT;
CREATE INDEX task_attachments_of ON task_attachments (task_id, attachment_id);

CREATE TABLE task_attachment_parts (
    attachment_id INTEGER NOT NULL,
    part          INTEGER NOT NULL,
    data          BLOB    NOT NULL,
    PRIMARY KEY (attachment_id, part)
) STRICT, WITHOUT ROWID;

-- What happened, in the order in which it can be followed. Of each task the last 1,000 are kept.
CREATE TABLE task_events (
    event_id INTEGER PRIMARY KEY,
    board_id INTEGER NOT NULL,
    task_id  INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    run_id   INTEGER,
    kind     TEXT    NOT NULL,
    payload  TEXT,
    at_ms    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX task_events_of ON task_events (task_id, seq);
CREATE INDEX task_events_on ON task_events (board_id, event_id);

-- What was asked for under an idempotency key. `any`: for ever; `open`: until that task is over.
CREATE TABLE board_requests (
    board_id INTEGER NOT NULL,
    request  TEXT    NOT NULL,
    task_id  INTEGER NOT NULL,
    scope    TEXT    NOT NULL CHECK (scope IN ('any', 'open')),
    PRIMARY KEY (board_id, request)
) STRICT, WITHOUT ROWID;

-- How many tasks of one assignee may run at once.
CREATE TABLE board_caps (
    board_id    INTEGER NOT NULL,
    assignee    TEXT    NOT NULL,
    running_max INTEGER NOT NULL CHECK (running_max >= 0),
    PRIMARY KEY (board_id, assignee)
) STRICT, WITHOUT ROWID;
