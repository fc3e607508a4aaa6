-- What was said of threads that have no row (yet, or any more): their file is not there when a
-- state is made again, because its disk is not mounted or it was deleted by name and may be undone.
-- It is said as soon as such a thread gets a row.

CREATE TABLE said_waiting (
    home_id             INTEGER NOT NULL REFERENCES homes,
    thread_id           BLOB    NOT NULL CHECK (length(thread_id) = 16),
    name_said           TEXT,
    archived_said       INTEGER,
    archived_said_ms    INTEGER,
    git_sha_said        TEXT,
    git_branch_said     TEXT,
    git_origin_url_said TEXT,
    memory_mode_said    TEXT,
    deleted_said_ms     INTEGER,
    PRIMARY KEY (home_id, thread_id)
) STRICT, WITHOUT ROWID;
