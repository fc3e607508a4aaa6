"""Times of holdfast beside the real Codex, measured in the same run. See README.md."""
