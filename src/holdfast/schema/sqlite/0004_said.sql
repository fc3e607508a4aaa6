-- More that only a person, or a harness, can say of a thread: where its work stands in git, whether it may be
-- remembered, that it is deleted, who spawned whom, and with which tools it works.

-- No fold touches these. Git: NULL, nothing was said; '', it was taken away.
ALTER TABLE threads ADD COLUMN git_sha_said TEXT;
ALTER TABLE threads ADD COLUMN git_branch_said TEXT;
ALTER TABLE threads ADD COLUMN git_origin_url_said TEXT;
ALTER TABLE threads ADD COLUMN memory_mode_said TEXT
    CHECK (memory_mode_said IN ('enabled', 'disabled', 'polluted'));
ALTER TABLE threads ADD COLUMN deleted_said_ms INTEGER;

-- The words are those of the query.
DROP INDEX threads_said;
CREATE INDEX threads_said ON threads (home_id)
    WHERE name_said IS NOT NULL OR archived_said IS NOT NULL OR git_sha_said IS NOT NULL
       OR git_branch_said IS NOT NULL OR git_origin_url_said IS NOT NULL OR memory_mode_said IS NOT NULL
       OR deleted_said_ms IS NOT NULL;
CREATE INDEX threads_deleted ON threads (home_id) WHERE deleted_said_ms IS NOT NULL;

-- Who spawned whom, as it was said: also of threads that have no rollout yet. It
-- wins over `threads.parent_thread_id`, which the rollout of the child says.
CREATE TABLE thread_edges (
    home_id   INTEGER NOT NULL REFERENCES homes,
    child_id  BLOB    NOT NULL CHECK (length(child_id) = 16),
    parent_id BLOB    NOT NULL CHECK (length(parent_id) = 16 AND parent_id <> child_id),
    status    TEXT    NOT NULL CHECK (status IN ('open', 'closed')),
    PRIMARY KEY (home_id, child_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX thread_edges_by_parent ON thread_edges (parent_id);

-- Lists of tools, each once: a harness gives most of its threads the same one.
CREATE TABLE tool_lists (
    list_id INTEGER PRIMARY KEY,
    digest  BLOB    NOT NULL UNIQUE CHECK (length(digest) = 16),
    tools   TEXT    NOT NULL          -- a JSON list
) STRICT;

-- `file`: what the rollout says; `said`: what was said here, which wins. NULL: nothing.
CREATE TABLE thread_tools (
    home_id      INTEGER NOT NULL REFERENCES homes,
    thread_id    BLOB    NOT NULL CHECK (length(thread_id) = 16),
    file_list_id INTEGER REFERENCES tool_lists,
    said_list_id INTEGER REFERENCES tool_lists,
    PRIMARY KEY (home_id, thread_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX thread_tools_by_file ON thread_tools (file_list_id) WHERE file_list_id IS NOT NULL;
CREATE INDEX thread_tools_by_said ON thread_tools (said_list_id) WHERE said_list_id IS NOT NULL;
