-- What the old runtime's API asks that no store of ours answers in the same words.

-- name: replace_thread
-- Every column the API knows, and what a person said against them: a full replace, as it was there. The rest of
-- the row stays.
UPDATE threads SET
    file_id = :file_id, revision = :revision, missing_since_ms = NULL, created_ms = :created_ms,
    updated_ms = :updated_ms, source = :source, source_kind_id = :source_kind_id, provider_id = :provider_id,
    cwd_id = :cwd_id, cli_version_id = :cli_version_id, title = :title, sandbox_policy_id = :sandbox_policy_id,
    approval_mode_id = :approval_mode_id, tokens_used = :tokens_used, first_user_message = :first_user_message,
    archived_file = :archived, archived_file_ms = :archived_ms, archived_said = NULL, archived_said_ms = NULL,
    git_sha = :git_sha, git_branch_id = :git_branch_id, git_origin_url_id = :git_origin_url_id,
    git_sha_said = NULL, git_branch_said = NULL, git_origin_url_said = NULL, deleted_said_ms = NULL
WHERE home_id = :home_id AND thread_id = :thread_id

-- name: file_of_thread
SELECT t.file_id, f.path FROM threads t JOIN files f ON f.file_id = t.file_id
WHERE t.home_id = :home_id AND t.thread_id = :thread_id

-- name: page_edge
-- In which whole second the last thread of a page is: read off an index, in its order.
SELECT {sort} / 1000 AS second FROM {matching}
ORDER BY {sort} DESC
LIMIT 1 OFFSET :before

-- name: page
-- Whole seconds, ties by id: the order of the API. What is sorted is the page, and who shares its last second.
SELECT t.n FROM {matching} AND {sort} >= :from_ms
ORDER BY {sort} / 1000 DESC, t.thread_id DESC
LIMIT :limit

-- name: page_matching
threads t
LEFT JOIN labels kind ON kind.label_id = t.source_kind_id
LEFT JOIN labels provider ON provider.label_id = t.provider_id
WHERE t.home_id = :home_id AND t.archived = :archived AND t.deleted_said_ms IS NULL
  AND coalesce(t.first_user_message, '') <> ''
  AND (:any_source = 1 OR coalesce(t.source, kind.label) IN (SELECT value FROM json_each(:sources)))
  AND (:any_provider = 1 OR coalesce(provider.label, '') IN (SELECT value FROM json_each(:providers)))
  AND {sort} < :below_ms AND ({sort} / 1000, t.thread_id) < (:after_s, :after_id)

-- name: no_tail
ORDER BY t.n

-- name: get_backfill
SELECT status, last_watermark, last_success_ms FROM backfill_notes WHERE home_id = :home_id

-- name: put_backfill
-- NULL keeps what is there.
INSERT INTO backfill_notes (home_id, status, last_watermark, last_success_ms, updated_ms)
VALUES (:home_id, :status, :watermark, :success_ms, :now_ms)
ON CONFLICT (home_id) DO UPDATE SET status = excluded.status, updated_ms = excluded.updated_ms,
    last_watermark = coalesce(excluded.last_watermark, backfill_notes.last_watermark),
    last_success_ms = coalesce(excluded.last_success_ms, backfill_notes.last_success_ms)
