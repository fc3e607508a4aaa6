-- The indexes that listing reads: every filter with every order, each ending
-- in the row id, which breaks ties. They are made once the first threads are
-- in, because filling them row by row writes several times the bytes.

CREATE INDEX IF NOT EXISTS threads_by_updated ON threads (home_id, archived, updated_ms);
CREATE INDEX IF NOT EXISTS threads_by_created ON threads (home_id, archived, created_ms);
CREATE INDEX IF NOT EXISTS threads_by_recency ON threads (home_id, archived, recency_ms);
CREATE INDEX IF NOT EXISTS threads_by_cwd_updated ON threads (home_id, archived, cwd_id, updated_ms);
CREATE INDEX IF NOT EXISTS threads_by_cwd_created ON threads (home_id, archived, cwd_id, created_ms);
CREATE INDEX IF NOT EXISTS threads_by_cwd_recency ON threads (home_id, archived, cwd_id, recency_ms);
CREATE INDEX IF NOT EXISTS threads_by_source_updated ON threads (home_id, archived, source_kind_id, updated_ms);
CREATE INDEX IF NOT EXISTS threads_by_source_created ON threads (home_id, archived, source_kind_id, created_ms);
CREATE INDEX IF NOT EXISTS threads_by_source_recency ON threads (home_id, archived, source_kind_id, recency_ms);
CREATE INDEX IF NOT EXISTS threads_by_provider_updated ON threads (home_id, archived, provider_id, updated_ms);
CREATE INDEX IF NOT EXISTS threads_by_provider_created ON threads (home_id, archived, provider_id, created_ms);
CREATE INDEX IF NOT EXISTS threads_by_provider_recency ON threads (home_id, archived, provider_id, recency_ms);
CREATE INDEX IF NOT EXISTS threads_by_parent ON threads (parent_thread_id, updated_ms) WHERE parent_thread_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS threads_by_base ON threads (base_thread_id) WHERE base_thread_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS threads_by_revision ON threads (revision);
CREATE INDEX IF NOT EXISTS threads_by_file ON threads (file_id);
CREATE INDEX IF NOT EXISTS threads_by_name ON threads (coalesce(name_said, name_file, name_folded))
    WHERE coalesce(name_said, name_file, name_folded) IS NOT NULL;
CREATE INDEX IF NOT EXISTS threads_missing ON threads (home_id) WHERE missing_since_ms IS NOT NULL;
