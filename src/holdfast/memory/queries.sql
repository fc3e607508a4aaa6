-- Memories by thread and scope, scopes that changed, and which folder of artefacts counts.

-- name: put_memory
-- `updated_ms` always advances: that of the scope, or one more than what is there. What was invalid is valid
-- again, by its new text; how often it was used is kept.
INSERT INTO thread_memories (home_id, thread_id, scope_kind, scope_key, raw_memory, memory_summary, slug,
    updated_ms, source_ms)
VALUES (:home_id, :thread_id, :scope_kind, :scope_key, :raw_memory, :memory_summary, :slug, :updated_ms, :source_ms)
ON CONFLICT (home_id, thread_id, scope_kind, scope_key) DO UPDATE SET
    raw_memory = excluded.raw_memory, memory_summary = excluded.memory_summary, slug = excluded.slug,
    source_ms = excluded.source_ms, invalidated_ms = NULL, invalid_reason = NULL,
    updated_ms = CASE WHEN excluded.updated_ms > thread_memories.updated_ms THEN excluded.updated_ms
        ELSE thread_memories.updated_ms + 1 END

-- name: select_memory
SELECT m.home_id, h.path AS home, m.thread_id, m.scope_kind, m.scope_key, m.raw_memory, m.memory_summary, m.slug,
    m.updated_ms, m.source_ms, m.used_count, m.last_used_ms, m.invalidated_ms, m.invalid_reason
FROM thread_memories m
JOIN homes h ON h.home_id = m.home_id
{where}

-- name: select_thread_id
SELECT h.path AS home, m.thread_id FROM thread_memories m
JOIN homes h ON h.home_id = m.home_id
{where}

-- name: in_scope_of
WHERE m.home_id = :home_id AND m.thread_id = :thread_id AND m.scope_kind = :scope_kind AND m.scope_key = :scope_key

-- name: newest_of_thread
-- Whichever scope it is in, and whether or not it is valid.
WHERE m.home_id = :home_id AND m.thread_id = :thread_id
ORDER BY m.updated_ms DESC, m.scope_kind DESC, m.scope_key DESC

-- name: last_of_scope
JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id AND t.deleted_said_ms IS NULL
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
WHERE m.home_id IN (SELECT value FROM json_each(:homes)) AND m.scope_kind = :scope_kind AND m.scope_key = :scope_key
  AND m.invalidated_ms IS NULL AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
ORDER BY m.updated_ms DESC, m.thread_id DESC
LIMIT :limit

-- name: newest_of_all
JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id AND t.deleted_said_ms IS NULL
WHERE m.home_id IN (SELECT value FROM json_each(:homes))
  AND (CAST(:scope_kind AS TEXT) IS NULL OR m.scope_kind = :scope_kind)
  AND (CAST(:scope_key AS TEXT) IS NULL OR m.scope_key = :scope_key)
ORDER BY m.updated_ms DESC, m.thread_id DESC, m.scope_kind, m.scope_key
LIMIT :limit

-- name: wanted_of_scope
-- What goes into the files: valid, not blank, used or made lately, of threads that are there and may be
-- remembered. The most used first, then the most recent.
JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
WHERE m.home_id IN (SELECT value FROM json_each(:homes)) AND m.scope_kind = :scope_kind AND m.scope_key = :scope_key
  AND m.invalidated_ms IS NULL AND m.raw_memory <> '' AND t.deleted_said_ms IS NULL
  AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
  AND coalesce(m.last_used_ms, m.source_ms) >= :since_ms
ORDER BY m.used_count DESC, coalesce(m.last_used_ms, m.source_ms) DESC, m.source_ms DESC, m.thread_id DESC
LIMIT :limit

-- name: has_thread
SELECT 1 AS yes FROM threads WHERE home_id = :home_id AND thread_id = :thread_id

-- name: may_remember
SELECT 1 AS yes FROM threads t
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
WHERE t.home_id = :home_id AND t.thread_id = :thread_id AND t.deleted_said_ms IS NULL
  AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'

-- name: cwd_of_thread
SELECT coalesce(cwd.label, '') AS cwd FROM threads t LEFT JOIN labels cwd ON cwd.label_id = t.cwd_id
WHERE t.home_id = :home_id AND t.thread_id = :thread_id

-- name: scopes_of_thread
SELECT scope_kind, scope_key FROM thread_memories
WHERE home_id = :home_id AND thread_id = :thread_id AND (:valid = 0 OR invalidated_ms IS NULL)

-- name: scopes_of_homes
SELECT DISTINCT scope_kind, scope_key FROM thread_memories WHERE home_id IN (SELECT value FROM json_each(:homes))

-- name: lock_scope
-- On PostgreSQL: nobody else changes memories of the scope before this transaction ends.
SELECT updated_ms FROM memory_scopes WHERE scope_kind = :scope_kind AND scope_key = :scope_key

-- name: forget_scope
DELETE FROM thread_memories
WHERE home_id = :home_id AND thread_id = :thread_id AND scope_kind = :scope_kind AND scope_key = :scope_key

-- name: forget_all
DELETE FROM thread_memories WHERE home_id IN (SELECT value FROM json_each(:homes))

-- name: use_thread
UPDATE thread_memories SET used_count = used_count + 1, last_used_ms = :now_ms
WHERE home_id = :home_id AND thread_id = :thread_id

-- name: invalidate_scope
UPDATE thread_memories SET invalidated_ms = :now_ms, invalid_reason = :reason
WHERE home_id = :home_id AND thread_id = :thread_id AND scope_kind = :scope_kind AND scope_key = :scope_key
  AND invalidated_ms IS NULL

-- name: set_scope
-- Advances with every write, also when the clock does not: no two memories of a scope are equally new.
INSERT INTO memory_scopes (scope_kind, scope_key, dirty, updated_ms) VALUES (:scope_kind, :scope_key, :dirty, :now_ms)
ON CONFLICT (scope_kind, scope_key) DO UPDATE SET dirty = excluded.dirty,
    updated_ms = CASE WHEN excluded.updated_ms > memory_scopes.updated_ms THEN excluded.updated_ms
        ELSE memory_scopes.updated_ms + 1 END
RETURNING updated_ms

-- name: clean_scope
-- Only when nothing came in since it was looked at.
UPDATE memory_scopes SET dirty = 0
WHERE scope_kind = :scope_kind AND scope_key = :scope_key AND updated_ms <= :seen_ms AND dirty = 1

-- name: dirty_scopes
SELECT scope_kind, scope_key, updated_ms FROM memory_scopes WHERE dirty = 1 ORDER BY scope_kind, scope_key

-- name: get_generation
SELECT fence, folder, made, published_ms FROM memory_generations WHERE place = :place

-- name: put_generation
-- An older fence never replaces a newer one.
INSERT INTO memory_generations (place, fence, folder, made, published_ms)
VALUES (:place, :fence, :folder, :made, :now_ms)
ON CONFLICT (place) DO UPDATE SET fence = excluded.fence, folder = excluded.folder, made = excluded.made,
    published_ms = excluded.published_ms
WHERE memory_generations.fence <= excluded.fence

-- name: lock_generation
UPDATE memory_generations SET folder = folder WHERE place = :place RETURNING folder

-- name: drop_generation
DELETE FROM memory_generations WHERE place = :place

-- name: candidates
-- Threads of people that may be remembered, idle long enough and not too old, the most recent first.
SELECT t.home_id, h.path AS home, t.thread_id, f.path, coalesce(cwd.label, '') AS cwd,
    coalesce(t.title, t.first_user_message, '') AS title, t.updated_ms, t.tokens_used, f."offset" AS size
FROM threads t
JOIN homes h ON h.home_id = t.home_id
JOIN files f ON f.file_id = t.file_id
LEFT JOIN labels cwd ON cwd.label_id = t.cwd_id
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
LEFT JOIN labels kind ON kind.label_id = t.source_kind_id
WHERE t.home_id IN (SELECT value FROM json_each(:homes)) AND t.archived = 0 AND t.missing_since_ms IS NULL
  AND t.deleted_said_ms IS NULL AND t.updated_ms BETWEEN :from_ms AND :to_ms
  AND coalesce(t.first_user_message, '') <> '' AND coalesce(kind.label, '') NOT IN ('subagent', 'internal')
  AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
ORDER BY t.updated_ms DESC, t.n DESC
LIMIT :limit

-- name: orphan_memories
-- For the probe: SQLite checks no foreign key of rows that somebody else's connection removed.
SELECT m.thread_id, m.scope_kind, m.scope_key FROM thread_memories m
LEFT JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id
WHERE t.n IS NULL ORDER BY m.thread_id LIMIT 100

-- name: odd_memories
SELECT thread_id, scope_kind, scope_key, used_count, last_used_ms, invalidated_ms FROM thread_memories
WHERE used_count < 0 OR (used_count > 0 AND last_used_ms IS NULL) OR (invalidated_ms IS NULL AND invalid_reason IS NOT NULL)
ORDER BY thread_id LIMIT 100
