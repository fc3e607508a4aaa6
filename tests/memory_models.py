"""Models that answer from a test's own head."""

from __future__ import annotations

import json

MERGED = {"MEMORY.md": "# Memory", "memory_summary.md": "v1\nread this"}


class Parrot:
    """Remembers what it was asked, and answers as it was told: a note of each thread, and two files."""

    def __init__(self, extraction=None, files=None):
        self.extraction = extraction or (
            lambda prompt: {"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None}
        )
        self.files = files or (lambda prompt: MERGED)
        self.extractions = []
        self.merges = []

    def __call__(self, prompt):
        if prompt.schema_name == "extraction":
            self.extractions.append(prompt)
            return json.dumps(self.extraction(prompt))
        self.merges.append(prompt)
        files = self.files(prompt)
        return json.dumps({"files": [{"path": path, "text": text} for path, text in files.items()]})
