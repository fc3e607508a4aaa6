-- Of state.db: who has changed, and who may be shown.

-- name: get_identity
SELECT CAST(coalesce(max(value) FILTER (WHERE name = 'state_id'), 0) AS BIGINT) AS state_id,
    CAST(coalesce(max(value) FILTER (WHERE name = 'epoch'), 0) AS BIGINT) AS epoch
FROM counters WHERE name IN ('state_id', 'epoch')

-- name: put_state_id
INSERT INTO counters (name, value) VALUES ('state_id', :state_id)
ON CONFLICT (name) DO NOTHING

-- name: behind
-- The next threads of a home behind (revision, n), each with the file that speaks for it.
-- Of a deleted one nothing is kept, as of one whose file is gone.
-- `+` keeps the index of the column out of the choice: threads_by_revision is the one.
SELECT t.n, t.revision, t.thread_id, t.created_ms,
    coalesce(t.deleted_said_ms, t.missing_since_ms) AS missing_since_ms,
    nullif(coalesce(t.name_said, t.name_file, t.name_folded), '') AS name,
    substr(coalesce(t.title, t.first_user_message, ''), 1, 500) AS title,
    CASE WHEN t.deleted_said_ms IS NULL THEN {haystack} ELSE '' END AS haystack,
    f.path, f.zst, f.inode, f.size, f.mtime_ns
FROM threads t JOIN files f ON f.file_id = t.file_id
WHERE (t.revision, t.n) > (:revision, :n) AND t.revision <= :upto AND +t.home_id = :home_id
ORDER BY t.revision, t.n LIMIT :limit

-- name: count_behind
SELECT count(*) AS threads FROM threads
WHERE (revision, n) > (:revision, :n) AND +home_id = :home_id

-- name: is_behind
-- Is anything of this home not fed, or not even indexed?
SELECT EXISTS (SELECT 1 FROM threads WHERE (revision, n) > (:revision, :n) AND +home_id = :home_id)
    OR NOT EXISTS (SELECT 1 FROM homes WHERE home_id = :home_id AND indexed_ms IS NOT NULL) AS behind

-- name: changed
-- The threads of any home behind (revision, n), read from the index of revisions
-- alone. A row value would read all of that one revision, which may be a whole home.
SELECT json_group_array(n) AS ns FROM (
    SELECT n FROM threads WHERE revision = :revision AND n > :n
    UNION ALL
    SELECT n FROM threads WHERE revision > :revision LIMIT :limit)

-- name: admitted
-- Which of these threads pass the filters. A filter that is null lets everything pass.
SELECT t.n, t.thread_id FROM json_each(:ns) asked CROSS JOIN threads t ON t.n = asked.value
WHERE t.home_id IN (SELECT value FROM json_each(:homes)) AND t.missing_since_ms IS NULL
  AND t.deleted_said_ms IS NULL AND t.archived IN (SELECT value FROM json_each(:archived))
  AND (CAST(:sources AS TEXT) IS NULL OR t.source_kind_id IN (SELECT value FROM json_each(:sources)))
  AND (CAST(:providers AS TEXT) IS NULL OR t.provider_id IN (SELECT value FROM json_each(:providers)))
  AND (CAST(:cwds AS TEXT) IS NULL OR t.cwd_id IN (SELECT value FROM json_each(:cwds)))

-- name: few
-- The threads that pass the filters, if they are not many.
SELECT n FROM threads
WHERE home_id IN (SELECT value FROM json_each(:homes))
  AND archived IN (SELECT value FROM json_each(:archived)) {filters} LIMIT :limit

-- name: only_sources
AND source_kind_id IN (SELECT value FROM json_each(:sources))

-- name: only_providers
AND provider_id IN (SELECT value FROM json_each(:providers))

-- name: only_cwds
AND cwd_id IN (SELECT value FROM json_each(:cwds))

-- name: chosen_by_n
json_each(:ns) chosen CROSS JOIN threads t ON t.n = chosen.value

-- Of search.db: what has been fed.

-- name: fed_identity
SELECT state_id, epoch FROM identity

-- name: put_identity
INSERT INTO identity (one, state_id, epoch, revision, unicode) VALUES (1, :state_id, :epoch, 0, :unicode)

-- name: made_of
SELECT state_id, epoch, revision, unicode FROM identity

-- name: note_made_of
UPDATE identity
SET revision = max(revision, :revision), unicode = CASE WHEN unicode = :unicode THEN unicode ELSE '' END

-- name: forget_identity
DELETE FROM identity

-- name: forget_progress
DELETE FROM progress

-- name: forget_fed
DELETE FROM fed

-- name: forget_messages
DELETE FROM messages

-- name: forget_words
INSERT INTO words (words) VALUES ('delete-all')

-- name: forget_titles
INSERT INTO titles (titles) VALUES ('delete-all')

-- name: get_progress
SELECT home_id, revision, n FROM progress WHERE home_id IN (SELECT value FROM json_each(:homes))

-- name: put_progress
INSERT INTO progress (home_id, revision, n) VALUES (:home_id, :revision, :n)
ON CONFLICT (home_id) DO UPDATE SET revision = excluded.revision, n = excluded.n

-- name: get_fed
SELECT n, home_id, thread_id, stamp, inode, zst, offset, mark, title_hash, title_row, messages
FROM json_each(:ns) asked CROSS JOIN fed ON n = asked.value

-- name: put_fed
INSERT INTO fed (n, home_id, thread_id, stamp, inode, zst, offset, mark, title_hash, title_row, messages)
VALUES (:n, :home_id, :thread_id, :stamp, :inode, :zst, :offset, :mark, :title_hash, :title_row, :messages)
ON CONFLICT (n) DO UPDATE SET
    home_id = excluded.home_id, thread_id = excluded.thread_id, stamp = excluded.stamp, inode = excluded.inode,
    zst = excluded.zst, offset = excluded.offset, mark = excluded.mark, title_hash = excluded.title_hash,
    title_row = excluded.title_row, messages = excluded.messages

-- name: delete_fed
DELETE FROM fed WHERE n = :n

-- name: taken
-- The highest row in use of each second.
SELECT asked.value AS at,
    (SELECT max(row) FROM messages WHERE row >= asked.value << :bits AND row < (asked.value + 1) << :bits) AS row
FROM json_each(:seconds) asked

-- name: put_message
INSERT INTO messages (row, n, role, offset, length) VALUES (:row, :n, :role, :offset, :length)

-- name: put_words
INSERT INTO words (rowid, text) VALUES (:row, :text)

-- name: put_title
INSERT OR REPLACE INTO titles (rowid, text) VALUES (:n, :text)

-- name: rows_of_thread
SELECT rowid AS row FROM words WHERE words MATCH :match

-- name: delete_message
DELETE FROM messages WHERE row = :row

-- name: delete_words
DELETE FROM words WHERE rowid = :row

-- name: count_fed
SELECT count(*) AS threads, CAST(coalesce(sum(messages), 0) AS BIGINT) AS messages
FROM fed WHERE home_id IN (SELECT value FROM json_each(:homes))

-- Of search.db: what was asked.

-- name: find
-- Newest first, read as far as the limit and no further.
SELECT m.row, m.n, m.role, m.offset, m.length
FROM words CROSS JOIN messages m ON m.row = words.rowid
WHERE words MATCH :match AND words.rowid < :before
ORDER BY words.rowid DESC LIMIT :limit

-- name: newer
-- Which threads of these rows' match have a match at or behind `row` in time: an earlier page showed them.
SELECT DISTINCT m.n FROM words CROSS JOIN messages m ON m.row = words.rowid
WHERE words MATCH :match AND words.rowid >= :row

-- name: count_matches
SELECT m.n, count(*) AS messages FROM words CROSS JOIN messages m ON m.row = words.rowid
WHERE words MATCH :match AND m.role <> 0
GROUP BY m.n

-- name: titles_with
SELECT json_group_array(n) AS ns FROM (SELECT rowid AS n FROM titles WHERE titles MATCH :match LIMIT :limit)

-- name: titles_with_short
-- What is shorter than a trigram begins some.
SELECT json_group_array(n) AS ns FROM (
    SELECT DISTINCT doc AS n FROM trigrams WHERE term BETWEEN :low AND :high LIMIT :limit)

-- name: words_with
-- Words that contain a piece. Walks through every word there is: about 1 us for five places a word stands.
SELECT term FROM vocabulary
WHERE instr(term, :piece) > 0 AND substr(term, 1, 1) <> char(57344) LIMIT :limit
