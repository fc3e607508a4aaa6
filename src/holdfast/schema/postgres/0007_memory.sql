-- What is remembered of threads, and what was made of it.

-- One row per thread and scope: `cwd` and its directory, `user` and the person. It goes with its thread.
-- `updated_ms` advances with every write, also when the clock does not: it is the version of the row.
CREATE TABLE thread_memories (
    home_id        BIGINT NOT NULL,
    thread_id      BYTEA NOT NULL CHECK (length(thread_id) = 16),
    scope_kind     TEXT COLLATE "C" NOT NULL,
    scope_key      TEXT COLLATE "C" NOT NULL,
    raw_memory     TEXT COLLATE "C" NOT NULL,
    memory_summary TEXT COLLATE "C" NOT NULL,
    slug           TEXT COLLATE "C" NOT NULL DEFAULT '',
    updated_ms     BIGINT NOT NULL,
    source_ms      BIGINT NOT NULL,  -- when the last line it was made from was written
    used_count     BIGINT NOT NULL DEFAULT 0,
    last_used_ms   BIGINT,
    invalidated_ms BIGINT,
    invalid_reason TEXT COLLATE "C",
    PRIMARY KEY (home_id, thread_id, scope_kind, scope_key),
    FOREIGN KEY (home_id, thread_id) REFERENCES threads (home_id, thread_id) ON DELETE CASCADE
);
CREATE INDEX thread_memories_by_scope ON thread_memories (scope_kind, scope_key, updated_ms, thread_id);

-- Scopes with something new since their memories were last put together.
CREATE TABLE memory_scopes (
    scope_kind TEXT COLLATE "C" NOT NULL,
    scope_key  TEXT COLLATE "C" NOT NULL,
    dirty      BIGINT NOT NULL CHECK (dirty IN (0, 1)),
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (scope_kind, scope_key)
);

-- Which folder of artefacts counts, by host and path: written under the fence that made the folder.
-- `made`: JSON, the threads it was made from, each with the `updated_ms` that was read, and digests of its files.
CREATE TABLE memory_generations (
    place        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    fence        BIGINT NOT NULL,
    folder       TEXT COLLATE "C" NOT NULL,
    made         TEXT COLLATE "C" NOT NULL,
    published_ms BIGINT NOT NULL
);

-- How far a program of the old runtime's API says its backfill is (`adapters.state_runtime`).
CREATE TABLE backfill_notes (
    home_id         BIGINT NOT NULL PRIMARY KEY REFERENCES homes,
    status          TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'running', 'complete')),
    last_watermark  TEXT COLLATE "C",
    last_success_ms BIGINT,
    updated_ms      BIGINT NOT NULL
);
