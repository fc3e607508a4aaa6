-- name: without_list
-- Differs: JSON, hex.
SELECT t.thread_id, t.file_list_id FROM json_array_elements_text(CAST(:ids AS JSON)) AS ids (value)
JOIN thread_tools t ON t.home_id = :home_id AND t.thread_id = decode(ids.value, 'hex')
WHERE t.file_list_id IS NOT NULL
