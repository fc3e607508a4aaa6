-- Which task came from where, and how far: so that what is imported twice comes once.
CREATE TABLE board_imports (
    board_id    BIGINT NOT NULL,
    source      TEXT COLLATE "C" NOT NULL,   -- 'hermes'; 'holdfast': an export
    source_id   TEXT COLLATE "C" NOT NULL,   -- what the task is called there
    task_id     BIGINT NOT NULL,
    comments    BIGINT NOT NULL,   -- the last of each that was brought, by its number there
    events      BIGINT NOT NULL,
    attachments BIGINT NOT NULL,
    PRIMARY KEY (board_id, source, source_id)
);
CREATE INDEX board_imports_of ON board_imports (task_id);
