-- name: has_moves
-- Differs: the catalogue.
SELECT 1 AS yes FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace(current_schema()) AND relname = 'moves' AND relkind = 'r'

-- name: columns_kept
-- Differs: the catalogue.
SELECT c.relname AS table_name, a.attname AS column_name,
    coalesce(array_position(string_to_array(i.indkey::text, ' '), a.attnum::text), 0) AS key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relnamespace = to_regnamespace(current_schema()) AND c.relkind IN ('r', 'p')
ORDER BY c.relname COLLATE "C", a.attname COLLATE "C"

-- name: numbered
-- Differs: identity columns have a sequence each.
SELECT c.relname AS table_name, a.attname AS column_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''
WHERE c.relnamespace = to_regnamespace(current_schema())
ORDER BY c.relname

-- name: go_on_numbering
-- Differs: as above; the next number is one past the highest.
SELECT setval(pg_get_serial_sequence(:sequence_of, {column}), highest) AS done
FROM (SELECT max({number}) AS highest FROM {rows}) AS found WHERE highest IS NOT NULL

-- name: go_on_numbering_files
-- Differs: ids of files are given 65,536 at a time.
SELECT setval('file_id_blocks', coalesce(max(file_id), 0) / 65536 + 1, false) AS done FROM files

-- name: engine_version
-- Differs: a server has a version of its own.
SELECT current_setting('server_version') AS version
