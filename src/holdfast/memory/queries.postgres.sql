-- Where PostgreSQL needs other words: its functions for JSON lists are other ones, and it has many writers.

-- name: last_of_scope
-- Differs: JSON.
JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id AND t.deleted_said_ms IS NULL
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
WHERE m.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND m.scope_kind = :scope_kind AND m.scope_key = :scope_key
  AND m.invalidated_ms IS NULL AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
ORDER BY m.updated_ms DESC, m.thread_id DESC
LIMIT :limit

-- name: newest_of_all
-- Differs: JSON.
JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id AND t.deleted_said_ms IS NULL
WHERE m.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND (CAST(:scope_kind AS TEXT) IS NULL OR m.scope_kind = :scope_kind)
  AND (CAST(:scope_key AS TEXT) IS NULL OR m.scope_key = :scope_key)
ORDER BY m.updated_ms DESC, m.thread_id DESC, m.scope_kind, m.scope_key
LIMIT :limit

-- name: wanted_of_scope
-- Differs: JSON.
JOIN threads t ON t.home_id = m.home_id AND t.thread_id = m.thread_id
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
WHERE m.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND m.scope_kind = :scope_kind AND m.scope_key = :scope_key
  AND m.invalidated_ms IS NULL AND m.raw_memory <> '' AND t.deleted_said_ms IS NULL
  AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
  AND coalesce(m.last_used_ms, m.source_ms) >= :since_ms
ORDER BY m.used_count DESC, coalesce(m.last_used_ms, m.source_ms) DESC, m.source_ms DESC, m.thread_id DESC
LIMIT :limit

-- name: forget_all
-- Differs: JSON.
DELETE FROM thread_memories
WHERE home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))

-- name: candidates
-- Differs: JSON.
SELECT t.home_id, h.path AS home, t.thread_id, f.path, coalesce(cwd.label, '') AS cwd,
    coalesce(t.title, t.first_user_message, '') AS title, t.updated_ms, t.tokens_used, f."offset" AS size
FROM threads t
JOIN homes h ON h.home_id = t.home_id
JOIN files f ON f.file_id = t.file_id
LEFT JOIN labels cwd ON cwd.label_id = t.cwd_id
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
LEFT JOIN labels kind ON kind.label_id = t.source_kind_id
WHERE t.home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))
  AND t.archived = 0 AND t.missing_since_ms IS NULL
  AND t.deleted_said_ms IS NULL AND t.updated_ms BETWEEN :from_ms AND :to_ms
  AND coalesce(t.first_user_message, '') <> '' AND coalesce(kind.label, '') NOT IN ('subagent', 'internal')
  AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
ORDER BY t.updated_ms DESC, t.n DESC
LIMIT :limit

-- name: has_thread
-- Differs: many writers. Its row is deleted by nobody before its memories are stored.
SELECT 1 AS yes FROM threads WHERE home_id = :home_id AND thread_id = :thread_id FOR KEY SHARE

-- name: may_remember
-- Differs: many writers. Its mode is changed by nobody before its memories are stored.
SELECT 1 AS yes FROM threads t
LEFT JOIN labels mode ON mode.label_id = t.memory_mode_id
WHERE t.home_id = :home_id AND t.thread_id = :thread_id AND t.deleted_said_ms IS NULL
  AND coalesce(t.memory_mode_said, mode.label, 'enabled') = 'enabled'
FOR SHARE OF t

-- name: scopes_of_homes
-- Differs: JSON.
SELECT DISTINCT scope_kind, scope_key FROM thread_memories
WHERE home_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:homes AS JSON)) AS each (value))

-- name: lock_scope
-- Differs: many writers.
SELECT updated_ms FROM memory_scopes WHERE scope_kind = :scope_kind AND scope_key = :scope_key FOR UPDATE
