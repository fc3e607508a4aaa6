-- name: which_key_locked
-- Differs: many writers.
kind = :kind AND key = :key
FOR UPDATE

-- name: which_next_free
-- Differs: PostgreSQL has many writers. Each takes a row no other has locked, so ten workers that ask at once get ten
-- different jobs, and none waits.
status = 'ready' AND kind = :kind
ORDER BY priority DESC, due_ms, job_id
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: which_at_once
-- Differs: as above.
status = 'ready' AND kind = :kind
    AND NOT EXISTS (SELECT 1 FROM jobs AS r WHERE r.status = 'resting' AND r.kind = :kind AND r.due_ms <= :now_ms)
    AND NOT EXISTS (SELECT 1 FROM jobs AS r WHERE r.status = 'running' AND r.kind = :kind AND r.expires_ms <= :now_ms)
    AND NOT EXISTS (SELECT 1 FROM job_caps AS c WHERE c.kind IN ('', :kind) AND c.running_max IS NOT NULL)
ORDER BY priority DESC, due_ms, job_id
LIMIT 1
FOR UPDATE OF jobs SKIP LOCKED

-- name: wake
-- Differs: two workers that wake the same jobs at once each take other rows, and cannot lock each other out.
UPDATE jobs
SET status = 'ready'
WHERE job_id IN (
    SELECT job_id FROM jobs
    WHERE status = 'resting' AND kind = :kind AND due_ms <= :now_ms
    ORDER BY due_ms
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)

-- name: which_expired
-- Differs: one worker at a time sees to each job that was lost.
status = 'running' AND kind = :kind AND expires_ms <= :now_ms
ORDER BY expires_ms
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: try_cap
-- Differs: many writers.
SELECT kind FROM job_caps WHERE kind = :kind FOR UPDATE SKIP LOCKED
