-- What is remembered of threads, and what was made of it.

-- One row per thread and scope: `cwd` and its directory, `user` and the person. It goes with its thread.
-- `updated_ms` advances with every write, also when the clock does not: it is the version of the row.
CREATE TABLE thread_memories (
    home_id        INTEGER NOT NULL,
    thread_id      BLOB    NOT NULL CHECK (length(thread_id) = 16),
    scope_kind     TEXT    NOT NULL,
    scope_key      TEXT    NOT NULL,
    raw_memory     TEXT    NOT NULL,
    memory_summary TEXT    NOT NULL,
    slug           TEXT    NOT NULL DEFAULT '',
    updated_ms     INTEGER NOT NULL,
    source_ms      INTEGER NOT NULL,            -- when the last line it was made from was written
    used_count     INTEGER NOT NULL DEFAULT 0,
    last_used_ms   INTEGER,
    invalidated_ms INTEGER,
    invalid_reason TEXT,
    PRIMARY KEY (home_id, thread_id, scope_kind, scope_key),
    FOREIGN KEY (home_id, thread_id) REFERENCES threads (home_id, thread_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX thread_memories_by_scope ON thread_memories (scope_kind, scope_key, updated_ms, thread_id);

-- Scopes with something new since their memories were last put together.
CREATE TABLE memory_scopes (
    scope_kind TEXT    NOT NULL,
    scope_key  TEXT    NOT NULL,
    dirty      INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_kind, scope_key)
) STRICT, WITHOUT ROWID;

-- Which folder of artefacts counts, by host and path: written under the fence that made the folder.
-- `made`: JSON, the threads it was made from, each with the `updated_ms` that was read, and digests of its files.
CREATE TABLE memory_generations (
    place        TEXT    NOT NULL PRIMARY KEY,
    fence        INTEGER NOT NULL,
    folder       TEXT    NOT NULL,
    made         TEXT    NOT NULL,
    published_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far a program of the old runtime's API says its backfill is (`adapters.state_runtime`).
CREATE TABLE backfill_notes (
    home_id         INTEGER NOT NULL PRIMARY KEY REFERENCES homes,
    status          TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'complete')),
    last_watermark  TEXT,
    last_success_ms INTEGER,
    updated_ms      INTEGER NOT NULL
) STRICT;
