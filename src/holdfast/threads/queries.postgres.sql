-- Where PostgreSQL needs other words: its functions for JSON lists, hex digits and letter case are other ones,
-- and a parameter that may be NULL has a type only when it is said.

-- name: put_labels
-- Differs: JSON.
INSERT INTO labels (label) SELECT value FROM json_array_elements_text(CAST(:labels AS JSON)) AS each (value)
ON CONFLICT DO NOTHING

-- name: get_labels
-- Differs: JSON.
SELECT label, label_id FROM labels
WHERE label IN (SELECT value FROM json_array_elements_text(CAST(:labels AS JSON)) AS each (value))

-- name: chosen_among
-- Differs: JSON.
json_array_elements_text(CAST(:among AS JSON)) AS candidates (value)
JOIN threads t ON t.n = CAST(candidates.value AS BIGINT)

-- name: where_id
-- Differs: JSON.
WHERE t.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND t.thread_id = :thread_id AND t.deleted_said_ms IS NULL
ORDER BY t.missing_since_ms IS NOT NULL, t.updated_ms DESC, t.n DESC
LIMIT 1

-- name: where_id_range
-- Differs: JSON.
WHERE t.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND t.thread_id BETWEEN :low AND :high AND t.deleted_said_ms IS NULL
ORDER BY t.thread_id
LIMIT :limit

-- name: where_named
-- Differs: JSON.
WHERE t.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND t.missing_since_ms IS NULL AND t.deleted_said_ms IS NULL
  AND coalesce(t.name_said, t.name_file, t.name_folded) = :called
ORDER BY t.updated_ms DESC
LIMIT 1

-- name: where_titled
-- Differs: JSON.
WHERE t.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND t.missing_since_ms IS NULL AND t.deleted_said_ms IS NULL
  AND coalesce(t.title, t.first_user_message) = :called
ORDER BY t.updated_ms DESC
LIMIT 1

-- name: branch_among
-- Differs: JSON.
SELECT n, ms FROM (
    SELECT n, {sort} AS ms FROM json_array_elements_text(CAST(:among AS JSON)) AS candidates (value)
    JOIN threads ON n = CAST(candidates.value AS BIGINT)
    WHERE {leading} {rest}
    ORDER BY {sort} {direction}, n {direction} LIMIT :limit) AS branch

-- name: haystack
-- Differs: chr.
coalesce(name_said, name_file, name_folded, '') || chr(10) || coalesce(title, first_user_message, '')
    || chr(10) || coalesce(preview, CASE WHEN title IS NOT NULL THEN first_user_message END, '')

-- name: looks_like
-- Differs: LIKE tells large letters from small ones.
AND folded({haystack}) LIKE folded(:needle) ESCAPE '\'

-- name: looks_like_in_any_case
-- Differs: the same function as above.
AND folded({haystack}) LIKE folded(:needle) ESCAPE '\'

-- name: get_n
-- Differs: JSON.
SELECT n FROM threads
WHERE home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND thread_id = :thread_id AND deleted_said_ms IS NULL
ORDER BY missing_since_ms IS NOT NULL, updated_ms DESC, n DESC
LIMIT 1

-- name: present
-- Differs: JSON, hex.
SELECT t.thread_id, t.file_id, t.archived_file, t.updated_ms, f.path,
    t.missing_since_ms IS NULL AND f.thread_id IS NOT DISTINCT FROM t.thread_id AS seated
FROM json_array_elements_text(CAST(:ids AS JSON)) AS ids (value)
JOIN threads t ON t.home_id = :home_id AND t.thread_id = decode(ids.value, 'hex')
JOIN files f ON f.file_id = t.file_id

-- name: orphans_of_files
-- Differs: JSON.
SELECT t.n, t.thread_id FROM json_array_elements_text(CAST(:file_ids AS JSON)) AS gone (value)
JOIN threads t ON t.file_id = CAST(gone.value AS BIGINT)
JOIN files f ON f.file_id = t.file_id
WHERE t.missing_since_ms IS NULL AND (f.status = 'gone' OR f.thread_id IS DISTINCT FROM t.thread_id)

-- name: names
-- Differs: JSON, hex.
SELECT thread_id, n, name_file FROM threads
WHERE home_id = :home_id
  AND (name_file IS NOT NULL
       OR thread_id IN (SELECT decode(value, 'hex') FROM json_array_elements_text(CAST(:ids AS JSON)) AS each (value)))

-- name: set_archived_said
-- Differs: types.
UPDATE threads
SET archived_said = CASE WHEN archived_file = CAST(:archived AS BIGINT) THEN NULL ELSE CAST(:archived AS BIGINT) END,
    archived_said_ms = CASE WHEN archived_file = CAST(:archived AS BIGINT) THEN NULL ELSE CAST(:now_ms AS BIGINT) END,
    revision = :revision
WHERE n = :n AND archived <> CAST(:archived AS BIGINT)

-- name: wait_said
-- Differs: types.
INSERT INTO said_waiting (home_id, thread_id, name_said, archived_said, archived_said_ms, git_sha_said,
    git_branch_said, git_origin_url_said, memory_mode_said, deleted_said_ms)
SELECT CAST(:home_id AS BIGINT), CAST(:thread_id AS BYTEA), CAST(:name_said AS TEXT), CAST(:archived_said AS BIGINT),
    CAST(:archived_said_ms AS BIGINT), CAST(:git_sha_said AS TEXT), CAST(:git_branch_said AS TEXT),
    CAST(:git_origin_url_said AS TEXT), CAST(:memory_mode_said AS TEXT), CAST(:deleted_said_ms AS BIGINT)
WHERE NOT EXISTS (SELECT 1 FROM threads WHERE home_id = :home_id AND thread_id = :thread_id)
ON CONFLICT (home_id, thread_id) DO NOTHING

-- name: where_deleted
-- Differs: JSON.
WHERE t.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND t.deleted_said_ms IS NOT NULL
ORDER BY t.deleted_said_ms DESC, t.n DESC

-- name: deleted_ns
-- Differs: JSON.
SELECT n FROM threads
WHERE home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND deleted_said_ms IS NOT NULL

-- name: doomed
-- Differs: JSON, hex.
SELECT t.n, t.home_id, t.thread_id, t.deleted_said_ms, t.missing_since_ms, f.path, f.zst, f.size,
    (SELECT count(*) FROM thread_edges e WHERE e.home_id = t.home_id AND e.child_id = t.thread_id)
    + (SELECT count(*) FROM thread_edges e WHERE e.parent_id = t.thread_id AND e.home_id = t.home_id) AS edges,
    coalesce(nullif(coalesce(t.name_said, t.name_file, t.name_folded), ''), t.title, t.first_user_message, '') AS label
FROM json_array_elements_text(CAST(:ids AS JSON)) WITH ORDINALITY AS ids (value, key)
JOIN threads t ON t.home_id = :home_id AND t.thread_id = decode(ids.value, 'hex')
JOIN files f ON f.file_id = t.file_id
ORDER BY ids.key

-- name: spawn_of
-- Differs: JSON.
SELECT child_id, parent_id, status, 1 AS said, home_id FROM thread_edges
WHERE home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND child_id = :child_id
UNION ALL
SELECT thread_id AS child_id, parent_thread_id AS parent_id, 'open' AS status, 0 AS said, home_id FROM threads
WHERE home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND thread_id = :child_id AND parent_thread_id IS NOT NULL
ORDER BY said DESC LIMIT 1

-- name: spawned_by
-- Differs: JSON, hex.
SELECT e.child_id, e.parent_id, e.status, 1 AS said, t.n, t.deleted_said_ms
FROM json_array_elements_text(CAST(:parents AS JSON)) AS parents (value)
JOIN thread_edges e ON e.parent_id = decode(parents.value, 'hex') AND e.home_id = :home_id
LEFT JOIN threads t ON t.home_id = e.home_id AND t.thread_id = e.child_id
UNION ALL
SELECT t.thread_id AS child_id, t.parent_thread_id AS parent_id, 'open' AS status, 0 AS said, t.n, t.deleted_said_ms
FROM json_array_elements_text(CAST(:parents AS JSON)) AS parents (value)
JOIN threads t ON t.parent_thread_id = decode(parents.value, 'hex') AND t.home_id = :home_id
WHERE NOT EXISTS (SELECT 1 FROM thread_edges e WHERE e.home_id = t.home_id AND e.child_id = t.thread_id)

-- name: chosen_page
-- Differs: CROSS JOIN takes no ON.
({branches} ORDER BY ms {direction}, n {direction} LIMIT :limit) page
JOIN threads t ON t.n = page.n
