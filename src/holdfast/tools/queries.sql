-- Which tools a thread works with: a list for what its rollout says, and one for what was said here, which wins.

-- name: get_tools
SELECT l.tools FROM thread_tools t
JOIN tool_lists l ON l.list_id = coalesce(t.said_list_id, t.file_list_id)
WHERE t.home_id = :home_id AND t.thread_id = :thread_id

-- name: put_list
INSERT INTO tool_lists (digest, tools) VALUES (:digest, :tools)
ON CONFLICT (digest) DO NOTHING

-- name: get_list
SELECT list_id FROM tool_lists WHERE digest = :digest

-- name: lists_of
SELECT file_list_id, said_list_id FROM thread_tools WHERE home_id = :home_id AND thread_id = :thread_id

-- name: put_file_list
INSERT INTO thread_tools (home_id, thread_id, file_list_id) VALUES (:home_id, :thread_id, :list_id)
ON CONFLICT (home_id, thread_id) DO UPDATE SET file_list_id = excluded.file_list_id
WHERE thread_tools.file_list_id IS DISTINCT FROM excluded.file_list_id

-- name: put_said_list
INSERT INTO thread_tools (home_id, thread_id, said_list_id) VALUES (:home_id, :thread_id, :list_id)
ON CONFLICT (home_id, thread_id) DO UPDATE SET said_list_id = excluded.said_list_id

-- name: has_file_lists
SELECT EXISTS (SELECT 1 FROM thread_tools WHERE file_list_id IS NOT NULL) AS yes

-- name: without_list
-- Of these threads, those of which a rollout once said what it says no more.
SELECT t.thread_id, t.file_list_id FROM json_each(:ids) ids
CROSS JOIN thread_tools t ON t.home_id = :home_id AND t.thread_id = unhex(ids.value)
WHERE t.file_list_id IS NOT NULL

-- name: drop_list
-- A list that no thread has any more.
DELETE FROM tool_lists
WHERE list_id = :list_id
  AND NOT EXISTS (SELECT 1 FROM thread_tools WHERE file_list_id = :list_id)
  AND NOT EXISTS (SELECT 1 FROM thread_tools WHERE said_list_id = :list_id)

-- name: drop_row
DELETE FROM thread_tools
WHERE home_id = :home_id AND thread_id = :thread_id AND file_list_id IS NULL AND said_list_id IS NULL

-- name: said_tools
SELECT h.path AS home, t.thread_id, l.tools
FROM thread_tools t
JOIN tool_lists l ON l.list_id = t.said_list_id
JOIN homes h ON h.home_id = t.home_id
WHERE t.said_list_id IS NOT NULL
ORDER BY h.path, l.list_id, t.thread_id

-- name: every_list
SELECT list_id, digest, tools,
    EXISTS (SELECT 1 FROM thread_tools WHERE file_list_id = list_id)
    OR EXISTS (SELECT 1 FROM thread_tools WHERE said_list_id = list_id) AS used
FROM tool_lists ORDER BY list_id

-- name: lost_lists
SELECT t.thread_id FROM thread_tools t
WHERE t.file_list_id NOT IN (SELECT list_id FROM tool_lists)
   OR t.said_list_id NOT IN (SELECT list_id FROM tool_lists)
   OR t.file_list_id IS NULL AND t.said_list_id IS NULL
ORDER BY t.thread_id LIMIT 100
