-- name: select_job
SELECT job_id, kind, key, status, priority, not_before_ms, retry_ms, due_ms, wanted_size, wanted_hash, done_size,
    done_hash, attempts, attempts_max, on_failure, payload, result, failure, created_ms, changed_ms, owner, fence,
    taken_ms, renewed_ms, expires_ms, note
FROM jobs
WHERE {which}

-- name: which_key
kind = :kind AND key = :key

-- name: which_key_locked
-- The same row; until the end of the transaction nobody else changes it.
kind = :kind AND key = :key

-- name: which_next
-- In the order of the index `jobs_ready`: one row is read, however many wait.
status = 'ready' AND kind = :kind
ORDER BY priority DESC, due_ms, job_id
LIMIT 1

-- name: which_next_free
-- The same row, to be claimed in this very transaction.
status = 'ready' AND kind = :kind
ORDER BY priority DESC, due_ms, job_id
LIMIT 1

-- name: which_at_once
-- The same row, when there is nothing to see to before it: no rest or lease that is over, and no cap.
status = 'ready' AND kind = :kind
    AND NOT EXISTS (SELECT 1 FROM jobs AS r WHERE r.status = 'resting' AND r.kind = :kind AND r.due_ms <= :now_ms)
    AND NOT EXISTS (SELECT 1 FROM jobs AS r WHERE r.status = 'running' AND r.kind = :kind AND r.expires_ms <= :now_ms)
    AND NOT EXISTS (SELECT 1 FROM job_caps AS c WHERE c.kind IN ('', :kind) AND c.running_max IS NOT NULL)
ORDER BY priority DESC, due_ms, job_id
LIMIT 1

-- name: claim_at_once
-- `rules.decide` for a job that is ready, in the statement that finds it: it gets the next fence, of this epoch. That
-- both say the same is what `test_jobs_at_once.py` is for.
UPDATE jobs
SET status = 'running', attempts = attempts + 1, owner = :owner,
    fence = 1 + CASE WHEN fence > ({epoch}) * :epoch_fences THEN fence ELSE ({epoch}) * :epoch_fences END,
    taken_ms = :now_ms, renewed_ms = :now_ms, expires_ms = :expires_ms, note = '', changed_ms = :now_ms
WHERE job_id = (SELECT job_id FROM jobs WHERE {which})
RETURNING job_id, kind, key, status, priority, not_before_ms, retry_ms, due_ms, wanted_size, wanted_hash, done_size,
    done_hash, attempts, attempts_max, on_failure, payload, result, failure, created_ms, changed_ms, owner, fence,
    taken_ms, renewed_ms, expires_ms, note

-- name: which_expired
status = 'running' AND kind = :kind AND expires_ms <= :now_ms
ORDER BY expires_ms
LIMIT :limit

-- name: which_running
status = 'running' AND kind = :kind

-- name: which_running_any
status = 'running'

-- name: which_listed
status <> 'forgotten'
    AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
    AND (CAST(:status AS TEXT) IS NULL OR status = :status)
ORDER BY changed_ms DESC, job_id DESC
LIMIT :limit

-- name: insert_job
INSERT INTO jobs (kind, key, status, priority, not_before_ms, due_ms, wanted_size, wanted_hash, attempts_max,
    on_failure, payload, created_ms, changed_ms)
VALUES (:kind, :key, :status, :priority, :not_before_ms, :not_before_ms, :wanted_size, :wanted_hash, :attempts_max,
    :on_failure, :payload, :now_ms, :now_ms)
ON CONFLICT (kind, key) DO NOTHING

-- name: ask_again
-- Newer input, or a job that was forgotten. Who is at it goes on, and finishes for the older input.
UPDATE jobs
SET status = :status, priority = :priority, not_before_ms = :not_before_ms, retry_ms = :retry_ms, due_ms = :due_ms,
    wanted_size = :wanted_size, wanted_hash = :wanted_hash, done_size = :done_size, done_hash = :done_hash,
    attempts = 0, attempts_max = :attempts_max, on_failure = :on_failure, payload = :payload, changed_ms = :now_ms
WHERE job_id = :job_id AND status = :seen_status AND fence = :seen_fence
    AND wanted_size = :seen_size AND wanted_hash = :seen_hash

-- name: put_request
INSERT INTO job_requests (request, kind, key, asked_ms) VALUES (:request, :kind, :key, :now_ms)
ON CONFLICT (request) DO NOTHING

-- name: get_request
SELECT kind, key FROM job_requests WHERE request = :request

-- name: put_claim
-- Compare and set: the decision was made on this status, this fence and this input.
UPDATE jobs
SET status = 'running', wanted_size = :wanted_size, wanted_hash = :wanted_hash, attempts = :attempts,
    owner = :owner, fence = :fence, taken_ms = :now_ms, renewed_ms = :now_ms, expires_ms = :expires_ms, note = '',
    changed_ms = :now_ms
WHERE job_id = :job_id AND status = :seen_status AND fence = :seen_fence
    AND wanted_size = :seen_size AND wanted_hash = :seen_hash

-- name: renew
-- One that began before the last renewal, and came after it, takes nothing of that away.
UPDATE jobs
SET renewed_ms = CASE WHEN renewed_ms > :now_ms THEN renewed_ms ELSE :now_ms END,
    expires_ms = CASE WHEN renewed_ms > :now_ms AND expires_ms > :expires_ms THEN expires_ms ELSE :expires_ms END,
    note = :note
WHERE job_id = :job_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms

-- name: finish
-- The comparison is `rules.advances`: input that came while this was being done is work of its own.
UPDATE jobs
SET status = CASE
        WHEN NOT (wanted_size > :done_size OR (wanted_size = :done_size AND wanted_hash <> :done_hash)) THEN 'done'
        WHEN not_before_ms > :now_ms THEN 'resting'
        ELSE 'ready'
    END,
    done_size = :done_size, done_hash = :done_hash, attempts = 0, retry_ms = 0, due_ms = not_before_ms,
    result = :result, failure = NULL, expires_ms = renewed_ms, changed_ms = :now_ms
WHERE job_id = :job_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms

-- name: fail
-- `attempts` is that of the row: it is 0 when newer input came meanwhile, which has a budget of its own, and is not
-- what was given up.
UPDATE jobs
SET status = CASE
        WHEN on_failure = 'terminal' OR attempts >= attempts_max THEN 'failed'
        WHEN :given_up = 1 AND wanted_size = :claimed_size AND wanted_hash = :claimed_hash THEN 'failed'
        ELSE 'resting'
    END,
    retry_ms = :retry_ms, due_ms = CASE WHEN not_before_ms > :retry_ms THEN not_before_ms ELSE :retry_ms END,
    failure = :failure, expires_ms = renewed_ms, changed_ms = :now_ms
WHERE job_id = :job_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms

-- name: release
UPDATE jobs
SET status = 'resting', attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END,
    retry_ms = :retry_ms, due_ms = CASE WHEN not_before_ms > :retry_ms THEN not_before_ms ELSE :retry_ms END,
    expires_ms = renewed_ms, changed_ms = :now_ms
WHERE job_id = :job_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms

-- name: lose
-- Its worker is gone or was silent too long. The attempt was counted when it was claimed. Compare and set: a
-- renewal that came since it was judged keeps the claim.
UPDATE jobs
SET status = CASE WHEN attempts >= attempts_max THEN 'failed' WHEN due_ms > :now_ms THEN 'resting' ELSE 'ready' END,
    failure = :failure, expires_ms = renewed_ms, changed_ms = :now_ms
WHERE job_id = :job_id AND fence = :fence AND status = 'running'
    AND renewed_ms = :seen_renewed_ms AND expires_ms = :seen_expires_ms

-- name: wake
UPDATE jobs
SET status = 'ready'
WHERE job_id IN (
    SELECT job_id FROM jobs
    WHERE status = 'resting' AND kind = :kind AND due_ms <= :now_ms
    ORDER BY due_ms
    LIMIT :limit
)

-- name: next_change
-- Read from the first entry of each index.
SELECT
    (SELECT min(due_ms) FROM jobs WHERE status = 'resting' AND kind = :kind) AS due_ms,
    (SELECT min(expires_ms) FROM jobs WHERE status = 'running' AND kind = :kind) AS expires_ms

-- name: count_running
SELECT count(*) AS running FROM jobs WHERE status = 'running' AND kind = :kind AND expires_ms > :now_ms

-- name: count_running_any
SELECT count(*) AS running FROM jobs WHERE status = 'running' AND expires_ms > :now_ms

-- name: list_caps
SELECT kind, running_max FROM job_caps ORDER BY kind

-- name: lock_cap
-- On PostgreSQL the row's lock is what makes the count and the claim one step.
INSERT INTO job_caps (kind, running_max) VALUES (:kind, NULL)
ON CONFLICT (kind) DO UPDATE SET kind = excluded.kind

-- name: try_cap
-- The same lock, if nobody else has it.
SELECT kind FROM job_caps WHERE kind = :kind

-- name: put_cap
INSERT INTO job_caps (kind, running_max) VALUES (:kind, :running_max)
ON CONFLICT (kind) DO UPDATE SET running_max = excluded.running_max

-- name: set_status
UPDATE jobs
SET status = :status, attempts = 0, retry_ms = 0, not_before_ms = :now_ms, due_ms = :now_ms, done_size = :done_size,
    done_hash = :done_hash, failure = :failure, expires_ms = renewed_ms, changed_ms = :now_ms
WHERE job_id = :job_id

-- name: forget
UPDATE jobs
SET status = 'forgotten', payload = NULL, result = NULL, failure = NULL, note = '', attempts = 0,
    wanted_size = -1, wanted_hash = '', done_size = -2, done_hash = '', retry_ms = 0, not_before_ms = 0, due_ms = 0,
    expires_ms = renewed_ms, changed_ms = :now_ms
WHERE kind = :kind AND key = :key AND status <> 'forgotten'

-- name: end_every_claim
UPDATE jobs
SET status = CASE WHEN due_ms > :now_ms THEN 'resting' ELSE 'ready' END, expires_ms = renewed_ms,
    attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END
WHERE status = 'running'

-- name: counts
SELECT kind, status, count(*) AS jobs FROM jobs WHERE status <> 'forgotten' GROUP BY kind, status ORDER BY kind, status

-- name: count_before
-- How many are claimed before this one: those of its kind, by the order of `jobs_ready`.
SELECT count(*) AS jobs FROM jobs
WHERE status = 'ready' AND kind = :kind
    AND (priority > :priority OR (priority = :priority AND (due_ms, job_id) < (:due_ms, :job_id)))

-- name: odd_jobs
-- Rows no rule of ours can have written.
SELECT job_id, kind, key, status, fence, attempts, attempts_max, due_ms, not_before_ms, retry_ms, taken_ms, renewed_ms,
    expires_ms, owner, done_size
FROM jobs
WHERE (status = 'running' AND (fence = 0 OR owner = '' OR expires_ms <= renewed_ms))
   OR (status <> 'running' AND expires_ms <> renewed_ms)
   OR (status = 'done' AND done_size = -2)
   OR (fence > 0 AND NOT (fence > :fence_floor AND fence < :fence_ceiling))
   OR NOT (taken_ms <= renewed_ms AND renewed_ms <= expires_ms)
   OR due_ms <> CASE WHEN not_before_ms > retry_ms THEN not_before_ms ELSE retry_ms END
   OR attempts > attempts_max OR attempts < 0
   OR renewed_ms > :now_ms
ORDER BY job_id
LIMIT :limit

-- name: list_owners
SELECT owner, min(kind || '/' || key) AS job FROM jobs WHERE status = 'running' GROUP BY owner ORDER BY 2

-- name: lost_requests
SELECT r.request, r.kind, r.key FROM job_requests AS r
WHERE NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.kind = r.kind AND j.key = r.key)
ORDER BY r.request
LIMIT :limit

-- name: publish
-- Only under a claim in force, by the job whose files these are, and never back to an older fence.
INSERT INTO job_files (host, path, kind, key, fence, generation, published_ms)
SELECT CAST(:host AS TEXT), CAST(:path AS TEXT), kind, key, fence, CAST(:generation AS TEXT), CAST(:now_ms AS BIGINT)
FROM jobs
WHERE job_id = :job_id AND fence = :fence AND status = 'running' AND expires_ms > :now_ms
ON CONFLICT (host, path) DO UPDATE
SET fence = excluded.fence, generation = excluded.generation, published_ms = excluded.published_ms
WHERE job_files.kind = excluded.kind AND job_files.key = excluded.key AND job_files.fence <= excluded.fence

-- name: get_published
SELECT kind, key, fence, generation, published_ms FROM job_files WHERE host = :host AND path = :path

-- name: is_any_ready
SELECT 1 AS yes FROM jobs WHERE status = 'ready' AND kind = :kind LIMIT 1

-- name: owners_of
SELECT DISTINCT owner FROM jobs WHERE status = 'running' AND kind = :kind
