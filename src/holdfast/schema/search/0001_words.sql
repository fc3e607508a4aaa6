-- The index of words. All of it is made from rollouts and state.db, and may be
-- deleted at any time.

-- Which state.db this was fed from: row ids below are its `threads.n`.
CREATE TABLE identity (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    state_id INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    revision INTEGER NOT NULL,        -- the titles in here are not of a later one
    unicode  TEXT    NOT NULL         -- the version that folded them; '': several
) STRICT;

-- Every thread of the home up to this place, in the order of (revision, n), has been fed.
CREATE TABLE progress (
    home_id  INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    n        INTEGER NOT NULL
) STRICT;

-- One row per thread: how much of its rollout is in, and how to tell that it
-- is still the same file.
CREATE TABLE fed (
    n          INTEGER PRIMARY KEY,
    home_id    INTEGER NOT NULL,
    thread_id  BLOB    NOT NULL,
    stamp      INTEGER NOT NULL,      -- of the ledger's row; 0: there is more to read
    inode      INTEGER NOT NULL,
    zst        INTEGER NOT NULL,
    offset     INTEGER NOT NULL,      -- bytes of text that are in
    mark       INTEGER NOT NULL,      -- checksum of the bytes before `offset`
    title_hash INTEGER NOT NULL,      -- of all that a title search looks in
    title_row  INTEGER,
    messages   INTEGER NOT NULL
) STRICT;

-- `row` grows with the time of the message: newest first is ORDER BY row DESC.
CREATE TABLE messages (
    row    INTEGER PRIMARY KEY,
    n      INTEGER NOT NULL,
    role   INTEGER NOT NULL,          -- 0 title, 1 user, 2 agent
    offset INTEGER NOT NULL,          -- of its line in the rollout
    length INTEGER NOT NULL
) STRICT;

-- No copy of the text, only where each word stands. The texts come folded and
-- cut by `words.prepare`; what is left for the tokenizer is to split at ASCII
-- punctuation. Each text ends in a word that names its thread.
CREATE VIRTUAL TABLE words USING fts5(text, content = '', contentless_delete = 1, tokenize = 'ascii');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row);

-- A batch becomes one segment instead of several that must be merged again, and
-- segments are merged by eights: 50,000 rollouts 14 s and 420 MB written, by fours 21 s and 590 MB.
INSERT INTO words (words, rank) VALUES ('hashsize', 16777216);
INSERT INTO words (words, rank) VALUES ('automerge', 8);

-- Which trigrams are in a thread's name, title and preview, folded by
-- `trigrams.py`. The row id is the thread's. 100 bytes and 10 us a thread.
CREATE VIRTUAL TABLE titles USING fts5(
    text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');
CREATE VIRTUAL TABLE trigrams USING fts5vocab(titles, instance);
INSERT INTO titles (titles, rank) VALUES ('hashsize', 16777216);
INSERT INTO titles (titles, rank) VALUES ('automerge', 8);
