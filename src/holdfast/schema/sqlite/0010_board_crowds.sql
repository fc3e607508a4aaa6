-- How many tasks of each status a board has; of the blocked ones, by the kind of their block. Kept by triggers, so that
-- no statement can forget it: a board of 100,000 says how it stands in as long as one of 100.
CREATE TABLE board_counts (
    board_id INTEGER NOT NULL,
    status   TEXT    NOT NULL,
    kind     TEXT    NOT NULL,  -- '' unless it is blocked
    tasks    INTEGER NOT NULL,
    PRIMARY KEY (board_id, status, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO board_counts (board_id, status, kind, tasks)
SELECT board_id, status, iif(status = 'blocked', coalesce(block_kind, ''), ''), count(*) FROM tasks GROUP BY 1, 2, 3;

CREATE TRIGGER tasks_counted_new AFTER INSERT ON tasks BEGIN
    INSERT INTO board_counts (board_id, status, kind, tasks)
    VALUES (NEW.board_id, NEW.status, iif(NEW.status = 'blocked', coalesce(NEW.block_kind, ''), ''), 1)
    ON CONFLICT (board_id, status, kind) DO UPDATE SET tasks = tasks + 1;
END;

CREATE TRIGGER tasks_counted AFTER UPDATE OF board_id, status, block_kind ON tasks
WHEN OLD.status <> NEW.status OR OLD.board_id <> NEW.board_id
    OR (NEW.status = 'blocked' AND OLD.block_kind IS NOT NEW.block_kind)
BEGIN
    UPDATE board_counts SET tasks = tasks - 1
    WHERE board_id = OLD.board_id AND status = OLD.status
        AND kind = iif(OLD.status = 'blocked', coalesce(OLD.block_kind, ''), '');
    INSERT INTO board_counts (board_id, status, kind, tasks)
    VALUES (NEW.board_id, NEW.status, iif(NEW.status = 'blocked', coalesce(NEW.block_kind, ''), ''), 1)
    ON CONFLICT (board_id, status, kind) DO UPDATE SET tasks = tasks + 1;
END;

CREATE TRIGGER tasks_counted_gone AFTER DELETE ON tasks BEGIN
    UPDATE board_counts SET tasks = tasks - 1
    WHERE board_id = OLD.board_id AND status = OLD.status
        AND kind = iif(OLD.status = 'blocked', coalesce(OLD.block_kind, ''), '');
END;
