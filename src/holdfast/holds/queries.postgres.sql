-- name: lock_hold
-- Differs: many writers.
SELECT resource, owner, fence, taken_ms, renewed_ms, expires_ms, note
FROM holds
WHERE resource = :resource
FOR UPDATE

-- name: get_epoch
-- Differs: the server's timeline is in it. A copy that was promoted may have missed the last transactions, and would
-- give fences again that were given before; it also may have missed that the epoch was raised. So each step of
-- the timeline is worth 1,024 epochs, without anybody having to write that down.
SELECT e.value + 1024 * greatest(0, server_timeline() - t.value) AS epoch
FROM counters e JOIN counters t ON t.name = 'timeline'
WHERE e.name = 'epoch'

-- name: set_epoch
-- Differs: it counts from the timeline of this moment.
INSERT INTO counters (name, value) VALUES ('epoch', :epoch), ('timeline', server_timeline())
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: get_server
-- Differs: the server says who it is.
SELECT value AS known, server_system() AS found FROM counters WHERE name = 'system'

-- name: put_server
-- Differs: as above. Of several who open it at once, one changes the row.
UPDATE counters SET value = server_system() WHERE name = 'system' AND value <> server_system()
