"""Processes that hold a log in their hands; what they say on stderr is kept, and must be nothing."""

from __future__ import annotations

import pytest
from incident_helpers import PRELUDE

from processes import children


@pytest.fixture
def start(tmp_path):
    """Start a process; afterwards all are ended, and none may have said a word on stderr."""
    with open(tmp_path / "stderr", "wb") as stderr, children(PRELUDE) as start:
        yield lambda code, *args: start(code, *args, stderr=stderr)
    assert (tmp_path / "stderr").read_text() == ""
