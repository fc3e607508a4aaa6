-- name: page_matching
-- Differs: JSON.
threads t
LEFT JOIN labels kind ON kind.label_id = t.source_kind_id
LEFT JOIN labels provider ON provider.label_id = t.provider_id
WHERE t.home_id = :home_id AND t.archived = :archived AND t.deleted_said_ms IS NULL
  AND coalesce(t.first_user_message, '') <> ''
  AND (:any_source = 1 OR coalesce(t.source, kind.label) IN
      (SELECT value FROM json_array_elements_text(CAST(:sources AS JSON)) AS each (value)))
  AND (:any_provider = 1 OR coalesce(provider.label, '') IN
      (SELECT value FROM json_array_elements_text(CAST(:providers AS JSON)) AS each (value)))
  AND {sort} < :below_ms AND ({sort} / 1000, t.thread_id) < (:after_s, :after_id)
