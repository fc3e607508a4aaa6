-- Which task came from where, and how far: so that what is imported twice comes once.
CREATE TABLE board_imports (
    board_id    INTEGER NOT NULL,
    source      TEXT    NOT NULL,   -- 'hermes'; 'holdfast': an export
    source_id   TEXT    NOT NULL,   -- what the task is called there
    task_id     INTEGER NOT NULL,
    comments    INTEGER NOT NULL,   -- the last of each that was brought, by its number there
    events      INTEGER NOT NULL,
    attachments INTEGER NOT NULL,
    PRIMARY KEY (board_id, source, source_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX board_imports_of ON board_imports (task_id);
