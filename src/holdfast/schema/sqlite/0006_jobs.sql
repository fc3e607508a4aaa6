-- Work that happens once per input. A job's row is its hold, too: who has it,
-- with which fence, until when. So a claim changes one row, and so does a finish.

CREATE TABLE jobs (
    job_id        INTEGER PRIMARY KEY,
    kind          TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    status        TEXT    NOT NULL
        CHECK (status IN ('ready', 'resting', 'running', 'done', 'failed', 'cancelled', 'forgotten')),
    priority      INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,             -- as asked for; at least when it was asked for
    retry_ms      INTEGER NOT NULL DEFAULT 0,   -- the end of the rest after a failure
    due_ms        INTEGER NOT NULL,             -- the later of the two
    wanted_size   INTEGER NOT NULL,             -- the newest input heard of; -1: it has none, and is done once
    wanted_hash   TEXT    NOT NULL,
    done_size     INTEGER NOT NULL DEFAULT -2,  -- the input it was done for; -2: never done
    done_hash     TEXT    NOT NULL DEFAULT '',
    attempts      INTEGER NOT NULL DEFAULT 0,   -- claims since the input last advanced
    attempts_max  INTEGER NOT NULL,
    on_failure    TEXT    NOT NULL CHECK (on_failure IN ('retry', 'terminal')),
    payload       TEXT,
    result        TEXT,
    failure       TEXT,
    created_ms    INTEGER NOT NULL,
    changed_ms    INTEGER NOT NULL,
    owner         TEXT    NOT NULL DEFAULT '',
    fence         INTEGER NOT NULL DEFAULT 0,   -- 0: never claimed. Rows are never deleted, or it would start again
    taken_ms      INTEGER NOT NULL DEFAULT 0,
    renewed_ms    INTEGER NOT NULL DEFAULT 0,
    expires_ms    INTEGER NOT NULL DEFAULT 0,
    note          TEXT    NOT NULL DEFAULT '',
    UNIQUE (kind, key)
) STRICT;

-- One small index for each question a claim asks. A job that is over is in none of them.
CREATE INDEX jobs_ready ON jobs (kind, priority DESC, due_ms, job_id) WHERE status = 'ready';
CREATE INDEX jobs_resting ON jobs (kind, due_ms) WHERE status = 'resting';
CREATE INDEX jobs_running ON jobs (kind, expires_ms) WHERE status = 'running';

-- What was asked for under an idempotency key, for ever.
CREATE TABLE job_requests (
    request  TEXT    NOT NULL PRIMARY KEY,
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    asked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many may run at once; the row of kind '' counts for all kinds together.
CREATE TABLE job_caps (
    kind        TEXT    NOT NULL PRIMARY KEY,
    running_max INTEGER CHECK (running_max >= 0)
) STRICT, WITHOUT ROWID;

-- Which generation of the files at `path` counts: the one whose row was written under a fence in force.
CREATE TABLE job_files (
    host         TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    fence        INTEGER NOT NULL,
    generation   TEXT    NOT NULL,
    published_ms INTEGER NOT NULL,
    PRIMARY KEY (host, path)
) STRICT, WITHOUT ROWID;
