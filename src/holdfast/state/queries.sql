-- A database that was moved, or is being filled by a move, has the table `moves`; every other has none.

-- name: has_moves
SELECT 1 AS yes FROM sqlite_schema WHERE name = 'moves'

-- name: get_move
SELECT mark FROM moves WHERE one = 1

-- name: put_move
INSERT INTO moves (one, mark) VALUES (1, :mark) ON CONFLICT (one) DO UPDATE SET mark = excluded.mark

-- name: columns_kept
-- Every column that is written, none that is generated; `key`: its place in the primary key, 0 for none.
SELECT m.name AS table_name, c.name AS column_name, c.pk AS key
FROM sqlite_schema m, pragma_table_xinfo(m.name) c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND c.hidden = 0
ORDER BY m.name, c.name

-- name: move_page
SELECT {columns} FROM {rows} WHERE {after} ORDER BY {key} LIMIT :page

-- name: move_put
INSERT INTO {rows} ({columns}) VALUES ({values})

-- name: drop_board_as_made
-- The one a migration made, and nobody used: the old one of this name comes in its place.
DELETE FROM boards
WHERE slug = :slug AND changed_ms = 0 AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.board_id = boards.board_id)

-- name: move_clear
DELETE FROM {rows} WHERE {which}

-- name: move_count
SELECT count(*) AS found FROM {rows} WHERE {which}

-- name: jobs_at_work
SELECT kind, key, owner FROM jobs WHERE status = 'running' AND expires_ms > :now_ms ORDER BY taken_ms

-- name: tasks_at_work
SELECT task_id, owner FROM tasks WHERE status = 'running' AND expires_ms > :now_ms ORDER BY taken_ms

-- name: numbered
-- Columns whose next number is kept apart from the rows. SQLite's is always past the highest.
SELECT '' AS table_name, '' AS column_name WHERE 1 = 0

-- name: go_on_numbering
SELECT {column} AS done, max({number}) AS highest FROM {rows} WHERE :sequence_of = '' 

-- name: go_on_numbering_files
SELECT max(file_id) AS done FROM files

-- name: engine_version
SELECT sqlite_version() AS version

-- name: homes_of
SELECT home_id, path, added_ms FROM homes WHERE host = :host

-- name: put_home_as
INSERT INTO homes (home_id, host, path, added_ms) VALUES (:home_id, :host, :path, :added_ms)
