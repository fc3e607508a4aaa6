-- name: get_entry
SELECT kind, put_ms, expires_ms, value FROM entries WHERE cache = :cache AND key = :key

-- name: delete_entry
DELETE FROM entries WHERE cache = :cache AND key = :key

-- name: put_entry
INSERT INTO entries (cache, key, kind, bytes, put_ms, expires_ms, value)
VALUES (:cache, :key, :kind, :bytes, :now_ms, :expires_ms, :value)

-- name: get_totals
SELECT entries, bytes FROM totals WHERE cache = :cache

-- name: get_bytes
-- What one cache counts, and what all of them do.
SELECT coalesce(sum(bytes) FILTER (WHERE cache = :cache), 0) AS of_cache, coalesce(sum(bytes), 0) AS of_all FROM totals

-- name: oldest_of_cache
SELECT entry, bytes FROM entries WHERE cache = :cache ORDER BY entry LIMIT :limit

-- name: oldest_of_all
SELECT entry, bytes FROM entries ORDER BY entry LIMIT :limit

-- name: delete_oldest
DELETE FROM entries WHERE entry <= :upto

-- name: delete_of_cache
DELETE FROM entries WHERE entry IN (
    SELECT entry FROM entries WHERE cache = :cache AND entry <= :upto ORDER BY entry LIMIT :limit)

-- name: delete_expired
DELETE FROM entries WHERE entry IN (
    SELECT entry FROM entries WHERE expires_ms <= :now_ms ORDER BY expires_ms LIMIT :limit)

-- name: last_entry
SELECT coalesce(max(entry), 0) AS entry FROM entries WHERE cache = :cache

-- name: odd_totals
-- A cache whose totals are not those of its entries.
SELECT c.cache, t.entries, t.bytes, e.entries AS true_entries, e.bytes AS true_bytes
FROM (SELECT cache FROM totals UNION SELECT cache FROM entries) c
LEFT JOIN totals t ON t.cache = c.cache
LEFT JOIN (SELECT cache, count(*) AS entries, sum(bytes) AS bytes FROM entries GROUP BY cache) e ON e.cache = c.cache
WHERE t.entries IS DISTINCT FROM e.entries OR t.bytes IS DISTINCT FROM e.bytes
ORDER BY c.cache
