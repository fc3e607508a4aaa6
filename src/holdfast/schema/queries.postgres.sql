-- name: has_migrations
-- Differs: the catalogue. Ours is the schema that the search path begins with.
SELECT 1 AS yes FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace(current_schema()) AND relname = 'migrations' AND relkind = 'r'

-- name: has_tables
-- Differs: the catalogue.
SELECT relname AS name FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p', 'v', 'm', 'f') LIMIT 1
