-- Values that may go at any time. A failure here is a miss, never an error.

-- `entry` grows with each put: the oldest go first. `key` says by its first
-- byte whether it was text or bytes. `bytes` is what the entry is counted as.
CREATE TABLE entries (
    entry      INTEGER PRIMARY KEY,
    cache      TEXT    NOT NULL,
    key        BLOB    NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1)),   -- 0 bytes, 1 JSON
    bytes      INTEGER NOT NULL CHECK (bytes > 0),
    put_ms     INTEGER NOT NULL,
    expires_ms INTEGER,                                   -- NULL: when there is no room for it
    value      BLOB    NOT NULL,
    UNIQUE (cache, key)
) STRICT;

CREATE INDEX entries_by_age ON entries (cache, entry);
CREATE INDEX entries_by_expiry ON entries (expires_ms) WHERE expires_ms IS NOT NULL;

-- What each cache holds, kept by triggers so that no statement can forget it.
CREATE TABLE totals (
    cache   TEXT    NOT NULL PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entry_put AFTER INSERT ON entries BEGIN
    INSERT INTO totals (cache, entries, bytes) VALUES (NEW.cache, 1, NEW.bytes)
    ON CONFLICT (cache) DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER entry_gone AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - OLD.bytes WHERE cache = OLD.cache;
    DELETE FROM totals WHERE cache = OLD.cache AND entries = 0;
END;
