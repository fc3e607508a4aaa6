-- A `*_id` without a table of its own is a label; `labels` gives its text.

-- name: next_revision
UPDATE counters SET value = value + 1 WHERE name = 'revision' RETURNING value AS revision

-- name: get_revision
SELECT value AS revision FROM counters WHERE name = 'revision'

-- name: put_labels
INSERT INTO labels (label) SELECT value FROM json_each(:labels) WHERE true
ON CONFLICT (label) DO NOTHING

-- name: get_labels
SELECT label, label_id FROM labels WHERE label IN (SELECT value FROM json_each(:labels))

-- name: put_thread
-- Only derived columns: what a person said stays.
INSERT INTO threads (
    home_id, thread_id, file_id, revision, missing_since_ms, created_ms, updated_ms, recency_ms,
    source, source_kind_id, thread_source_id, provider_id, model_id, effort_id, cwd_id, cli_version_id,
    originator_id, sandbox_policy_id, approval_mode_id, memory_mode_id, history_mode_id,
    agent_nickname, agent_role_id, agent_path_id, parent_thread_id, forked_from_id,
    base_thread_id, base_end_ordinal, first_user_ordinal, first_user_message, title, preview,
    tokens_used, git_sha, git_branch_id, git_origin_url_id, lines_unread,
    archived_file, archived_file_ms, name_file, name_folded)
VALUES (
    :home_id, :thread_id, :file_id, :revision, NULL, :created_ms, :updated_ms, :recency_ms,
    :source, :source_kind_id, :thread_source_id, :provider_id, :model_id, :effort_id, :cwd_id, :cli_version_id,
    :originator_id, :sandbox_policy_id, :approval_mode_id, :memory_mode_id, :history_mode_id,
    :agent_nickname, :agent_role_id, :agent_path_id, :parent_thread_id, :forked_from_id,
    :base_thread_id, :base_end_ordinal, :first_user_ordinal, :first_user_message, :title, :preview,
    :tokens_used, :git_sha, :git_branch_id, :git_origin_url_id, :lines_unread,
    :archived_file, :archived_file_ms, :name_file, :name_folded)
ON CONFLICT (home_id, thread_id) DO UPDATE SET
    file_id = excluded.file_id, revision = excluded.revision, missing_since_ms = NULL,
    created_ms = excluded.created_ms, updated_ms = excluded.updated_ms, recency_ms = excluded.recency_ms,
    source = excluded.source, source_kind_id = excluded.source_kind_id,
    thread_source_id = excluded.thread_source_id, provider_id = excluded.provider_id,
    model_id = excluded.model_id, effort_id = excluded.effort_id, cwd_id = excluded.cwd_id,
    cli_version_id = excluded.cli_version_id, originator_id = excluded.originator_id,
    sandbox_policy_id = excluded.sandbox_policy_id, approval_mode_id = excluded.approval_mode_id,
    memory_mode_id = excluded.memory_mode_id, history_mode_id = excluded.history_mode_id,
    agent_nickname = excluded.agent_nickname, agent_role_id = excluded.agent_role_id,
    agent_path_id = excluded.agent_path_id, parent_thread_id = excluded.parent_thread_id,
    forked_from_id = excluded.forked_from_id, base_thread_id = excluded.base_thread_id,
    base_end_ordinal = excluded.base_end_ordinal, first_user_ordinal = excluded.first_user_ordinal,
    first_user_message = excluded.first_user_message, title = excluded.title, preview = excluded.preview,
    tokens_used = excluded.tokens_used, git_sha = excluded.git_sha, git_branch_id = excluded.git_branch_id,
    git_origin_url_id = excluded.git_origin_url_id, lines_unread = excluded.lines_unread,
    archived_file = excluded.archived_file, archived_file_ms = excluded.archived_file_ms,
    name_file = excluded.name_file, name_folded = excluded.name_folded

-- name: select_thread
SELECT t.n, t.home_id, t.thread_id, h.path AS home, f.path AS path, t.created_ms, t.updated_ms, t.recency_ms,
    coalesce(t.source, source_kind.label) AS source, source_kind.label AS source_kind,
    thread_source.label AS thread_source, provider.label AS model_provider, model.label AS model,
    effort.label AS reasoning_effort, cwd.label AS cwd, cli_version.label AS cli_version,
    originator.label AS originator, coalesce(t.title, t.first_user_message, '') AS title,
    nullif(coalesce(t.name_said, t.name_file, t.name_folded), '') AS name,
    coalesce(t.preview, t.first_user_message, '') AS preview,
    coalesce(t.first_user_message, '') AS first_user_message, t.tokens_used, t.archived,
    CASE WHEN t.archived = 0 THEN NULL
         WHEN t.archived_said = 1 THEN t.archived_said_ms ELSE t.archived_file_ms END AS archived_at_ms,
    nullif(coalesce(t.git_sha_said, t.git_sha), '') AS git_sha,
    nullif(coalesce(t.git_branch_said, git_branch.label), '') AS git_branch,
    nullif(coalesce(t.git_origin_url_said, git_origin_url.label), '') AS git_origin_url,
    coalesce((SELECT e.parent_id FROM thread_edges e WHERE e.home_id = t.home_id AND e.child_id = t.thread_id),
        t.parent_thread_id) AS parent_thread_id, t.forked_from_id, t.agent_nickname, agent_role.label AS agent_role,
    agent_path.label AS agent_path, sandbox_policy.label AS sandbox_policy,
    approval_mode.label AS approval_mode, coalesce(t.memory_mode_said, memory_mode.label) AS memory_mode,
    history_mode.label AS history_mode, t.lines_unread, t.missing_since_ms, t.deleted_said_ms
FROM {chosen}
JOIN homes h ON h.home_id = t.home_id
JOIN files f ON f.file_id = t.file_id
LEFT JOIN labels source_kind ON source_kind.label_id = t.source_kind_id
LEFT JOIN labels thread_source ON thread_source.label_id = t.thread_source_id
LEFT JOIN labels provider ON provider.label_id = t.provider_id
LEFT JOIN labels model ON model.label_id = t.model_id
LEFT JOIN labels effort ON effort.label_id = t.effort_id
LEFT JOIN labels cwd ON cwd.label_id = t.cwd_id
LEFT JOIN labels cli_version ON cli_version.label_id = t.cli_version_id
LEFT JOIN labels originator ON originator.label_id = t.originator_id
LEFT JOIN labels git_branch ON git_branch.label_id = t.git_branch_id
LEFT JOIN labels git_origin_url ON git_origin_url.label_id = t.git_origin_url_id
LEFT JOIN labels agent_role ON agent_role.label_id = t.agent_role_id
LEFT JOIN labels agent_path ON agent_path.label_id = t.agent_path_id
LEFT JOIN labels sandbox_policy ON sandbox_policy.label_id = t.sandbox_policy_id
LEFT JOIN labels approval_mode ON approval_mode.label_id = t.approval_mode_id
LEFT JOIN labels memory_mode ON memory_mode.label_id = t.memory_mode_id
LEFT JOIN labels history_mode ON history_mode.label_id = t.history_mode_id
{tail}

-- name: chosen_by_id
threads t

-- name: chosen_among
-- The candidates are known: fetch them by row id.
json_each(:among) candidates CROSS JOIN threads t ON t.n = candidates.value

-- name: where_id
-- Homes that were copied share ids: a thread that is there counts, then the one written last.
WHERE t.home_id IN (SELECT value FROM json_each(:homes)) AND t.thread_id = :thread_id
  AND t.deleted_said_ms IS NULL
ORDER BY t.missing_since_ms IS NOT NULL, t.updated_ms DESC, t.n DESC
LIMIT 1

-- name: where_id_range
-- A prefix of an id: every id from `low` to `high`.
WHERE t.home_id IN (SELECT value FROM json_each(:homes)) AND t.thread_id BETWEEN :low AND :high
  AND t.deleted_said_ms IS NULL
ORDER BY t.thread_id
LIMIT :limit

-- name: where_named
-- Newest first: the caller wants the thread somebody last worked in. `+` leaves the choice to the index of names.
WHERE +t.home_id IN (SELECT value FROM json_each(:homes)) AND t.missing_since_ms IS NULL AND t.deleted_said_ms IS NULL
  AND coalesce(t.name_said, t.name_file, t.name_folded) = :called
ORDER BY t.updated_ms DESC
LIMIT 1

-- name: where_titled
WHERE +t.home_id IN (SELECT value FROM json_each(:homes)) AND t.missing_since_ms IS NULL AND t.deleted_said_ms IS NULL
  AND coalesce(t.title, t.first_user_message) = :called
ORDER BY t.updated_ms DESC
LIMIT 1

-- name: chosen_page
-- The rows of a page, found in indexes alone; the outer query fetches the rest of each.
({branches} ORDER BY ms {direction}, n {direction} LIMIT :limit) page
CROSS JOIN threads t ON t.n = page.n

-- name: page_order
ORDER BY page.ms {direction}, page.n {direction}

-- name: branch
-- One home, archived or not, one value of the leading filter: one range of one
-- index, read in order and left after `limit` rows. `+` keeps a column's index
-- out of the choice.
SELECT n, ms FROM (
    SELECT n, {sort} AS ms FROM threads
    WHERE {leading} {rest}
    ORDER BY {sort} {direction}, n {direction} LIMIT :limit) AS branch

-- name: branch_among
-- The candidates are known: fetch them by row id, then sort.
SELECT n, ms FROM (
    SELECT n, {sort} AS ms FROM json_each(:among) candidates CROSS JOIN threads ON n = candidates.value
    WHERE {leading} {rest}
    ORDER BY {sort} {direction}, n {direction} LIMIT :limit) AS branch

-- name: haystack
-- What a title search looks in: name, title and preview. Where title and preview are
-- both the first message, that once; else a title may be the cut beginning of it.
coalesce(name_said, name_file, name_folded, '') || char(10) || coalesce(title, first_user_message, '')
    || char(10) || coalesce(preview, CASE WHEN title IS NOT NULL THEN first_user_message END, '')

-- name: looks_like
-- LIKE itself ignores ASCII case, at C speed.
AND {haystack} LIKE :needle ESCAPE '\'

-- name: looks_like_in_any_case
-- The same for letters that are not ASCII.
AND lower({haystack}) LIKE lower(:needle) ESCAPE '\'

-- name: last_n
-- About how many threads there are: rows are numbered as they come.
SELECT coalesce(max(n), 0) AS n FROM threads

-- name: get_n
SELECT n FROM threads WHERE home_id IN (SELECT value FROM json_each(:homes)) AND thread_id = :thread_id
  AND deleted_said_ms IS NULL
ORDER BY missing_since_ms IS NOT NULL, updated_ms DESC, n DESC
LIMIT 1

-- name: present
-- Which of these threads are known, and which file speaks for each; `seated` is 0
-- when that file is gone, or says by now that it is another thread.
SELECT t.thread_id, t.file_id, t.archived_file, t.updated_ms, f.path,
    t.missing_since_ms IS NULL AND f.thread_id IS NOT DISTINCT FROM t.thread_id AS seated
FROM json_each(:ids) ids
CROSS JOIN threads t ON t.home_id = :home_id AND t.thread_id = unhex(ids.value)
JOIN files f ON f.file_id = t.file_id

-- name: file_of
-- Where the index says the thread's rollout lies.
SELECT f.path, f.zst, t.archived, t.missing_since_ms, t.deleted_said_ms FROM threads t
JOIN files f ON f.file_id = t.file_id
WHERE t.home_id = :home_id AND t.thread_id = :thread_id

-- name: orphans_of_files
-- The threads whose file has vanished, or holds another thread by now.
SELECT t.n, t.thread_id FROM json_each(:file_ids) gone
CROSS JOIN threads t ON t.file_id = gone.value
JOIN files f ON f.file_id = t.file_id
WHERE t.missing_since_ms IS NULL AND (f.status = 'gone' OR f.thread_id IS DISTINCT FROM t.thread_id)

-- name: mark_missing
UPDATE threads SET missing_since_ms = :now_ms, revision = :revision WHERE n = :n

-- name: names
SELECT thread_id, n, name_file FROM threads
WHERE home_id = :home_id AND (name_file IS NOT NULL OR thread_id IN (SELECT unhex(value) FROM json_each(:ids)))

-- name: set_name_file
UPDATE threads SET name_file = :name, revision = :revision WHERE n = :n

-- name: set_name_said
UPDATE threads SET name_said = :name, revision = :revision WHERE n = :n

-- name: set_archived_said
-- Said again what the file says already is nothing said.
UPDATE threads
SET archived_said = CASE WHEN archived_file = :archived THEN NULL ELSE :archived END,
    archived_said_ms = CASE WHEN archived_file = :archived THEN NULL ELSE :now_ms END,
    revision = :revision
WHERE n = :n AND archived <> :archived

-- name: unsay_name
UPDATE threads SET name_said = NULL, revision = :revision WHERE n = :n AND name_said IS NOT NULL

-- name: unsay_archived
UPDATE threads SET archived_said = NULL, archived_said_ms = NULL, revision = :revision
WHERE n = :n AND archived_said IS NOT NULL

-- name: unsay_git
UPDATE threads SET git_sha_said = NULL, git_branch_said = NULL, git_origin_url_said = NULL, revision = :revision
WHERE n = :n AND coalesce(git_sha_said, git_branch_said, git_origin_url_said) IS NOT NULL

-- name: unsay_memory_mode
UPDATE threads SET memory_mode_said = NULL, revision = :revision WHERE n = :n AND memory_mode_said IS NOT NULL

-- name: heirs
-- Forks that continue a base and do not have its first words (see `fold.inherit`).
SELECT c.n, c.thread_id, c.base_thread_id, coalesce(b.preview, b.first_user_message) AS preview, b.first_user_ordinal
FROM threads c
JOIN threads b ON b.home_id = c.home_id AND b.thread_id = c.base_thread_id
WHERE c.home_id = :home_id AND c.base_thread_id IS NOT NULL
  AND coalesce(b.preview, b.first_user_message, '') <> '' AND b.first_user_ordinal < c.base_end_ordinal
  AND (c.first_user_ordinal IS DISTINCT FROM b.first_user_ordinal
       OR coalesce(c.preview, c.first_user_message) IS DISTINCT FROM coalesce(b.preview, b.first_user_message))

-- name: inherit
-- Title and first message stay the fork's own.
UPDATE threads
SET preview = :preview, first_user_ordinal = :first_user_ordinal, revision = :revision
WHERE n = :n

-- name: count_home
SELECT count(*) AS threads FROM threads WHERE home_id = :home_id

-- name: count_threads
-- Four counts of four indexes: one pass over the rows would read them all, a second for a million.
SELECT (SELECT count(*) FROM threads WHERE home_id = :home_id) AS threads,
    (SELECT count(*) FROM threads WHERE home_id = :home_id AND archived = 1) AS archived,
    (SELECT count(*) FROM threads WHERE home_id = :home_id AND missing_since_ms IS NOT NULL) AS missing,
    (SELECT count(*) FROM threads WHERE home_id = :home_id AND deleted_said_ms IS NOT NULL) AS deleted

-- name: said
-- Everything of a thread that no rollout knows. Edges and tools: see `said_edges`, and `tools/`.
SELECT h.path AS home, t.thread_id, t.name_said, t.archived_said, t.archived_said_ms,
    t.git_sha_said, t.git_branch_said, t.git_origin_url_said, t.memory_mode_said, t.deleted_said_ms
FROM threads t JOIN homes h ON h.home_id = t.home_id
WHERE t.name_said IS NOT NULL OR t.archived_said IS NOT NULL OR t.git_sha_said IS NOT NULL
   OR t.git_branch_said IS NOT NULL OR t.git_origin_url_said IS NOT NULL OR t.memory_mode_said IS NOT NULL
   OR t.deleted_said_ms IS NOT NULL
UNION ALL
SELECT h.path AS home, w.thread_id, w.name_said, w.archived_said, w.archived_said_ms,
    w.git_sha_said, w.git_branch_said, w.git_origin_url_said, w.memory_mode_said, w.deleted_said_ms
FROM said_waiting w JOIN homes h ON h.home_id = w.home_id
ORDER BY home, thread_id

-- name: wait_said
-- Of a thread without a row.
INSERT INTO said_waiting (home_id, thread_id, name_said, archived_said, archived_said_ms, git_sha_said,
    git_branch_said, git_origin_url_said, memory_mode_said, deleted_said_ms)
SELECT :home_id, :thread_id, :name_said, :archived_said, :archived_said_ms, :git_sha_said,
    :git_branch_said, :git_origin_url_said, :memory_mode_said, :deleted_said_ms
WHERE NOT EXISTS (SELECT 1 FROM threads WHERE home_id = :home_id AND thread_id = :thread_id)
ON CONFLICT (home_id, thread_id) DO NOTHING

-- name: waiting
-- What waits of a home, and has a row by now.
SELECT w.home_id, w.thread_id, w.name_said, w.archived_said, w.archived_said_ms, w.git_sha_said,
    w.git_branch_said, w.git_origin_url_said, w.memory_mode_said, w.deleted_said_ms
FROM said_waiting w
JOIN threads t ON t.home_id = w.home_id AND t.thread_id = w.thread_id
WHERE w.home_id = :home_id

-- name: forget_waiting
DELETE FROM said_waiting WHERE home_id = :home_id AND thread_id = :thread_id

-- name: waited_in_vain
-- For the probe: what still waits, though its thread has a row.
SELECT h.path AS home, w.thread_id
FROM said_waiting w
JOIN threads t ON t.home_id = w.home_id AND t.thread_id = w.thread_id
JOIN homes h ON h.home_id = w.home_id
ORDER BY w.home_id, w.thread_id LIMIT 100

-- name: restore_said
UPDATE threads
SET name_said = coalesce(name_said, :name_said), archived_said = coalesce(archived_said, :archived_said),
    archived_said_ms = coalesce(archived_said_ms, :archived_said_ms),
    git_sha_said = coalesce(git_sha_said, :git_sha_said),
    git_branch_said = coalesce(git_branch_said, :git_branch_said),
    git_origin_url_said = coalesce(git_origin_url_said, :git_origin_url_said),
    memory_mode_said = coalesce(memory_mode_said, :memory_mode_said),
    deleted_said_ms = coalesce(deleted_said_ms, :deleted_said_ms), revision = :revision
WHERE home_id = :home_id AND thread_id = :thread_id

-- name: set_git_said
-- Each field on its own: `put_*` 0 leaves it as it is.
UPDATE threads
SET git_sha_said = CASE WHEN :put_sha = 1 THEN :sha ELSE git_sha_said END,
    git_branch_said = CASE WHEN :put_branch = 1 THEN :branch ELSE git_branch_said END,
    git_origin_url_said = CASE WHEN :put_origin_url = 1 THEN :origin_url ELSE git_origin_url_said END,
    revision = :revision
WHERE n = :n

-- name: set_memory_mode_said
UPDATE threads SET memory_mode_said = :mode, revision = :revision WHERE n = :n

-- name: set_deleted_said
UPDATE threads SET deleted_said_ms = :deleted_ms, revision = :revision WHERE n = :n

-- name: where_deleted
WHERE t.home_id IN (SELECT value FROM json_each(:homes)) AND t.deleted_said_ms IS NOT NULL
ORDER BY t.deleted_said_ms DESC, t.n DESC

-- name: is_deleted
SELECT 1 AS yes FROM homes h JOIN threads t ON t.home_id = h.home_id AND t.thread_id = :thread_id
WHERE h.host = :host AND h.path = :home AND t.deleted_said_ms IS NOT NULL

-- name: deleted_ns
SELECT n FROM threads WHERE home_id IN (SELECT value FROM json_each(:homes)) AND deleted_said_ms IS NOT NULL

-- name: doomed
-- Of these threads of a home: their rows, and what of each would be out of sight.
SELECT t.n, t.home_id, t.thread_id, t.deleted_said_ms, t.missing_since_ms, f.path, f.zst, f.size,
    (SELECT count(*) FROM thread_edges e WHERE e.home_id = t.home_id AND e.child_id = t.thread_id)
    + (SELECT count(*) FROM thread_edges e WHERE e.parent_id = t.thread_id AND +e.home_id = t.home_id) AS edges,
    coalesce(nullif(coalesce(t.name_said, t.name_file, t.name_folded), ''), t.title, t.first_user_message, '') AS label
FROM json_each(:ids) ids
CROSS JOIN threads t ON t.home_id = :home_id AND t.thread_id = unhex(ids.value)
JOIN files f ON f.file_id = t.file_id
ORDER BY ids.key

-- name: put_edge
INSERT INTO thread_edges (home_id, child_id, parent_id, status) VALUES (:home_id, :child_id, :parent_id, :status)
ON CONFLICT (home_id, child_id) DO UPDATE SET parent_id = excluded.parent_id, status = excluded.status

-- name: restore_edge
INSERT INTO thread_edges (home_id, child_id, parent_id, status) VALUES (:home_id, :child_id, :parent_id, :status)
ON CONFLICT (home_id, child_id) DO NOTHING

-- name: touch_child
-- Its row shows another parent now.
UPDATE threads SET revision = :revision WHERE home_id = :home_id AND thread_id = :child_id

-- name: said_edges
SELECT h.path AS home, e.child_id, e.parent_id, e.status
FROM thread_edges e JOIN homes h ON h.home_id = e.home_id
ORDER BY h.path, e.child_id

-- name: spawn_of
-- Who spawned this thread, as it was said, else as its rollout says.
SELECT child_id, parent_id, status, 1 AS said, home_id FROM thread_edges
WHERE home_id IN (SELECT value FROM json_each(:homes)) AND child_id = :child_id
UNION ALL
SELECT thread_id AS child_id, parent_thread_id AS parent_id, 'open' AS status, 0 AS said, home_id FROM threads
WHERE home_id IN (SELECT value FROM json_each(:homes)) AND thread_id = :child_id AND parent_thread_id IS NOT NULL
ORDER BY said DESC LIMIT 1

-- name: spawned_by
-- The children of these threads in one home, as they were said, and those of whom only their rollout says it.
SELECT e.child_id, e.parent_id, e.status, 1 AS said, t.n, t.deleted_said_ms
FROM json_each(:parents) parents
CROSS JOIN thread_edges e ON e.parent_id = unhex(parents.value) AND +e.home_id = :home_id
LEFT JOIN threads t ON t.home_id = e.home_id AND t.thread_id = e.child_id
UNION ALL
SELECT t.thread_id AS child_id, t.parent_thread_id AS parent_id, 'open' AS status, 0 AS said, t.n, t.deleted_said_ms
FROM json_each(:parents) parents
CROSS JOIN threads t ON t.parent_thread_id = unhex(parents.value) AND +t.home_id = :home_id
WHERE NOT EXISTS (SELECT 1 FROM thread_edges e WHERE e.home_id = t.home_id AND e.child_id = t.thread_id)

-- name: spawn_circles
-- For the probe: edges that were said and lead, upwards, back to the child. 64 is deeper than anybody spawns.
WITH RECURSIVE up (home_id, child_id, at, depth) AS (
    SELECT home_id, child_id, parent_id, 1 FROM thread_edges
    UNION ALL
    SELECT up.home_id, up.child_id,
        coalesce(e.parent_id, t.parent_thread_id), up.depth + 1
    FROM up
    LEFT JOIN thread_edges e ON e.home_id = up.home_id AND e.child_id = up.at
    LEFT JOIN threads t ON t.home_id = up.home_id AND t.thread_id = up.at
    WHERE up.depth < 64 AND up.at IS NOT NULL AND up.at <> up.child_id)
SELECT child_id FROM up WHERE at = child_id ORDER BY child_id LIMIT 100

-- name: forget_said
UPDATE threads SET name_said = NULL, archived_said = NULL, archived_said_ms = NULL, git_sha_said = NULL,
    git_branch_said = NULL, git_origin_url_said = NULL, memory_mode_said = NULL, deleted_said_ms = NULL
WHERE home_id = :home_id AND thread_id = :thread_id

-- name: get_home
SELECT home_id, path, indexed_ms, names_stamp FROM homes WHERE host = :host AND path = :path

-- name: list_homes
SELECT home_id, path, indexed_ms, names_stamp FROM homes WHERE host = :host ORDER BY home_id

-- name: put_home
INSERT INTO homes (host, path, added_ms) VALUES (:host, :path, :now_ms)
ON CONFLICT (host, path) DO NOTHING

-- name: move_home
UPDATE homes SET path = :path WHERE home_id = :home_id

-- name: set_home_indexed
UPDATE homes SET indexed_ms = :indexed_ms, names_stamp = :names_stamp WHERE home_id = :home_id

-- name: doubt_names
-- No stamp of a file is '?': the next index reads the names again.
UPDATE homes SET names_stamp = '?' WHERE home_id = :home_id AND names_stamp NOT IN ('?', :names_stamp)

-- name: sample_files
SELECT path, zst, inode FROM files WHERE home_id = :home_id ORDER BY file_id DESC LIMIT 32

-- name: odd_files
-- For the probe: threads whose file is not theirs, or is there although they are
-- called missing. Of an unreadable file nothing is known.
SELECT t.thread_id, t.home_id, t.missing_since_ms, h.path AS home, f.path, f.home_id AS file_home_id, f.status,
    f.thread_id AS file_thread_id
FROM threads t
JOIN files f ON f.file_id = t.file_id
JOIN homes h ON h.home_id = t.home_id
WHERE f.home_id <> t.home_id
   OR t.missing_since_ms IS NULL AND f.status <> 'unreadable'
      AND (f.thread_id IS DISTINCT FROM t.thread_id OR f.status IN ('gone', 'duplicate'))
   OR t.missing_since_ms IS NOT NULL AND f.status = 'ok' AND f.thread_id = t.thread_id
ORDER BY t.n LIMIT 100

-- name: shared_files
SELECT h.path AS home, f.path, count(*) AS threads
FROM threads t
JOIN files f ON f.file_id = t.file_id
JOIN homes h ON h.home_id = f.home_id
WHERE t.missing_since_ms IS NULL
GROUP BY f.file_id, h.path, f.path HAVING count(*) > 1
ORDER BY f.file_id LIMIT 100

-- name: disinherited
-- What `heirs` finds in a home that is indexed: nothing, after every transaction.
SELECT c.thread_id, c.base_thread_id
FROM threads c
JOIN homes h ON h.home_id = c.home_id AND h.indexed_ms IS NOT NULL
JOIN threads b ON b.home_id = c.home_id AND b.thread_id = c.base_thread_id
WHERE c.base_thread_id IS NOT NULL
  AND coalesce(b.preview, b.first_user_message, '') <> '' AND b.first_user_ordinal < c.base_end_ordinal
  AND (c.first_user_ordinal IS DISTINCT FROM b.first_user_ordinal
       OR coalesce(c.preview, c.first_user_message) IS DISTINCT FROM coalesce(b.preview, b.first_user_message))
ORDER BY c.n LIMIT 100

-- name: dangling_labels
-- A label that is NULL is `NOT IN` nothing.
SELECT t.thread_id FROM threads t
WHERE t.source_kind_id NOT IN (SELECT label_id FROM labels)
   OR t.thread_source_id NOT IN (SELECT label_id FROM labels)
   OR t.provider_id NOT IN (SELECT label_id FROM labels)
   OR t.model_id NOT IN (SELECT label_id FROM labels)
   OR t.effort_id NOT IN (SELECT label_id FROM labels)
   OR t.cwd_id NOT IN (SELECT label_id FROM labels)
   OR t.cli_version_id NOT IN (SELECT label_id FROM labels)
   OR t.originator_id NOT IN (SELECT label_id FROM labels)
   OR t.sandbox_policy_id NOT IN (SELECT label_id FROM labels)
   OR t.approval_mode_id NOT IN (SELECT label_id FROM labels)
   OR t.memory_mode_id NOT IN (SELECT label_id FROM labels)
   OR t.history_mode_id NOT IN (SELECT label_id FROM labels)
   OR t.agent_role_id NOT IN (SELECT label_id FROM labels)
   OR t.agent_path_id NOT IN (SELECT label_id FROM labels)
   OR t.git_branch_id NOT IN (SELECT label_id FROM labels)
   OR t.git_origin_url_id NOT IN (SELECT label_id FROM labels)
ORDER BY t.n LIMIT 100

-- name: future_revisions
SELECT t.thread_id, t.revision, c.value AS last
FROM threads t JOIN counters c ON c.name = 'revision'
WHERE t.revision > c.value
ORDER BY t.n LIMIT 100
