-- Homes, the ledger of their files, and the threads that the files tell of.

CREATE TABLE homes (
    home_id     INTEGER PRIMARY KEY,
    host        TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    added_ms    INTEGER NOT NULL,
    indexed_ms  INTEGER,              -- when every file had been folded; NULL: not yet
    names_stamp TEXT    NOT NULL DEFAULT '',
    UNIQUE (host, path)
) STRICT;

-- One row per rollout file: what was folded of it, and how that went. `path`
-- is relative to the home and always the plain spelling, also for a `.zst`.
CREATE TABLE files (
    file_id   INTEGER PRIMARY KEY,
    home_id   INTEGER NOT NULL REFERENCES homes,
    path      TEXT    NOT NULL,
    zst       INTEGER NOT NULL,
    inode     INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    mtime_ns  INTEGER NOT NULL,
    offset    INTEGER NOT NULL,       -- bytes folded, up to the last whole line
    status    TEXT    NOT NULL,
    attempts  INTEGER NOT NULL,
    problems  TEXT,                   -- JSON: what could not be read, counted and named
    facts     BLOB,                   -- where to go on from, for files too long to read again
    thread_id BLOB,
    UNIQUE (home_id, path)
) STRICT;

-- Which files say they are this thread? Asked only of copies and of vanished files.
CREATE INDEX files_by_thread ON files (thread_id) WHERE status = 'duplicate';

-- What could not be read: few rows of many, asked for by each index. The words are those of the query.
CREATE INDEX files_with_problems ON files (home_id, path)
    WHERE status NOT IN ('ok', 'gone') OR problems IS NOT NULL;

-- Columns are of three kinds. Derived: folded from the file, written by every
-- scan. `*_said`: what only a person said; no scan touches them. And generated
-- from both. `*_id` without a table of its own is a label.
CREATE TABLE threads (
    n                  INTEGER PRIMARY KEY,
    home_id            INTEGER NOT NULL REFERENCES homes,
    thread_id          BLOB    NOT NULL CHECK (length(thread_id) = 16),
    file_id            INTEGER NOT NULL REFERENCES files,
    revision           INTEGER NOT NULL,
    missing_since_ms   INTEGER,

    created_ms         INTEGER NOT NULL,
    updated_ms         INTEGER NOT NULL,
    recency_ms         INTEGER NOT NULL,
    source             TEXT,          -- NULL: the same as its kind
    source_kind_id     INTEGER NOT NULL,
    thread_source_id   INTEGER,
    provider_id        INTEGER,
    model_id           INTEGER,
    effort_id          INTEGER,
    cwd_id             INTEGER,
    cli_version_id     INTEGER,
    originator_id      INTEGER,
    sandbox_policy_id  INTEGER,
    approval_mode_id   INTEGER,
    memory_mode_id     INTEGER,
    history_mode_id    INTEGER,
    agent_nickname     TEXT,
    agent_role_id      INTEGER,
    agent_path_id      INTEGER,
    parent_thread_id   BLOB,
    forked_from_id     BLOB,
    base_thread_id     BLOB,
    base_end_ordinal   INTEGER,
    first_user_ordinal INTEGER,
    first_user_message TEXT,
    title              TEXT,          -- NULL: the same as first_user_message
    preview            TEXT,          -- NULL: the same as first_user_message
    tokens_used        INTEGER NOT NULL,
    git_sha            TEXT,
    git_branch_id      INTEGER,
    git_origin_url_id  INTEGER,
    lines_unread       INTEGER NOT NULL,
    archived_file      INTEGER NOT NULL,
    archived_file_ms   INTEGER,
    name_file          TEXT,          -- from the home's names file; it wins over a name in the rollout
    name_folded        TEXT,

    name_said          TEXT,          -- '': the name was taken away
    archived_said      INTEGER,
    archived_said_ms   INTEGER,

    archived           INTEGER GENERATED ALWAYS AS (coalesce(archived_said, archived_file)) VIRTUAL,
    UNIQUE (home_id, thread_id)
) STRICT;

-- What only people said: few rows of many. The words are those of the query.
CREATE INDEX threads_said ON threads (home_id) WHERE name_said IS NOT NULL OR archived_said IS NOT NULL;
