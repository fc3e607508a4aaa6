-- What was said of threads that have no row (yet, or any more): their file is not there when a
-- state is made again, because its disk is not mounted or it was deleted by name and may be undone.
-- It is said as soon as such a thread gets a row.

CREATE TABLE said_waiting (
    home_id             BIGINT NOT NULL REFERENCES homes,
    thread_id           BYTEA NOT NULL CHECK (length(thread_id) = 16),
    name_said           TEXT COLLATE "C",
    archived_said       BIGINT,
    archived_said_ms    BIGINT,
    git_sha_said        TEXT COLLATE "C",
    git_branch_said     TEXT COLLATE "C",
    git_origin_url_said TEXT COLLATE "C",
    memory_mode_said    TEXT COLLATE "C",
    deleted_said_ms     BIGINT,
    PRIMARY KEY (home_id, thread_id)
);
