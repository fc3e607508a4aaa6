"""Threads: one row per conversation, derived from its rollout, plus what only a person can say."""
