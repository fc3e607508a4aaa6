-- One row per resource that was ever held. Rows outlive their hold, because
-- the fence in them must keep growing.

CREATE TABLE holds (
    resource   TEXT    NOT NULL PRIMARY KEY,
    owner      TEXT    NOT NULL,
    fence      INTEGER NOT NULL CHECK (fence > 0),
    taken_ms   INTEGER NOT NULL,
    renewed_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    note       TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
