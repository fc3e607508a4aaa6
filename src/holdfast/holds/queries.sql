-- name: get_hold
SELECT resource, owner, fence, taken_ms, renewed_ms, expires_ms, note
FROM holds
WHERE resource = :resource

-- name: lock_hold
-- The same row; until the end of the transaction nobody else changes it.
SELECT resource, owner, fence, taken_ms, renewed_ms, expires_ms, note
FROM holds
WHERE resource = :resource

-- name: list_holds
SELECT resource, owner, fence, taken_ms, renewed_ms, expires_ms, note
FROM holds
WHERE expires_ms <> renewed_ms
ORDER BY taken_ms, resource

-- name: get_epoch
SELECT value AS epoch FROM counters WHERE name = 'epoch'

-- name: set_epoch
INSERT INTO counters (name, value) VALUES ('epoch', :epoch)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: put_hold
-- Compare and set: the decision was made on this fence (0: no row) and these
-- times. If another writer moved or renewed it meanwhile, nothing changes, and
-- the caller decides again.
INSERT INTO holds (resource, owner, fence, taken_ms, renewed_ms, expires_ms, note)
VALUES (:resource, :owner, :fence, :taken_ms, :renewed_ms, :expires_ms, :note)
ON CONFLICT (resource) DO UPDATE
SET owner = excluded.owner, fence = excluded.fence, taken_ms = excluded.taken_ms,
    renewed_ms = excluded.renewed_ms, expires_ms = excluded.expires_ms, note = excluded.note
WHERE holds.fence = :seen_fence AND holds.renewed_ms = :seen_renewed_ms AND holds.expires_ms = :seen_expires_ms

-- name: renew_hold
-- One that began before the last renewal, and came after it, takes nothing of that away.
UPDATE holds
SET renewed_ms = CASE WHEN renewed_ms > :now_ms THEN renewed_ms ELSE :now_ms END,
    expires_ms = CASE WHEN renewed_ms > :now_ms AND expires_ms > :expires_ms THEN expires_ms ELSE :expires_ms END,
    note = :note
WHERE resource = :resource AND fence = :fence AND expires_ms > :now_ms AND expires_ms <> renewed_ms

-- name: end_hold
-- Released: expiry and renewal are the same moment.
UPDATE holds
SET renewed_ms = :now_ms, expires_ms = :now_ms
WHERE resource = :resource AND fence = :fence AND expires_ms > :now_ms AND expires_ms <> renewed_ms

-- name: end_every_hold
UPDATE holds SET expires_ms = renewed_ms WHERE expires_ms <> renewed_ms

-- name: odd_holds
-- Rows no rule of ours can have written, and those renewed after this moment.
SELECT resource, fence, taken_ms, renewed_ms, expires_ms
FROM holds
WHERE NOT (taken_ms <= renewed_ms AND renewed_ms <= expires_ms)
   OR renewed_ms > :now_ms OR fence <= :fence_floor OR fence >= :fence_ceiling
ORDER BY resource

-- name: list_owners
SELECT owner, min(resource) AS resource, count(*) AS holds FROM holds GROUP BY owner ORDER BY 2

-- name: get_server
-- On which server the rows were last known to be, and on which they are. A file has none.
SELECT 0 AS known, 0 AS found

-- name: put_server
UPDATE counters SET value = value WHERE name = 'epoch'
