-- One row per resource that was ever held. Rows outlive their hold, because
-- the fence in them must keep growing.

CREATE TABLE holds (
    resource   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,
    fence      BIGINT NOT NULL CHECK (fence > 0),
    taken_ms   BIGINT NOT NULL,
    renewed_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    note       TEXT COLLATE "C" NOT NULL DEFAULT ''
);
