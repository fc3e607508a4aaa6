-- What every subject stands on: the anchor of the clock, a few single values,
-- and the texts that many rows repeat.

CREATE TABLE clock_anchors (
    boot_id TEXT    NOT NULL PRIMARY KEY,
    wall_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `epoch` is the upper part of every fence; `revision` grows with each
-- transaction that changes a thread, so that followers (search) know what is new.
CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('epoch', 1), ('revision', 0);

-- A directory, a model, a version: one text, thousands of threads. Rows are
-- never changed and never deleted, so a label seen once may be remembered.
CREATE TABLE labels (
    label_id INTEGER PRIMARY KEY,
    label    TEXT NOT NULL UNIQUE
) STRICT;
