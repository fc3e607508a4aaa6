"""The programs of docs/store.md and docs/connect.md run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from processes import SRC

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize("page", ["store.md", "connect.md"])
def test_the_program_of_the_page_runs(page, tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": SRC, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.rglob("*") if path.name.endswith(("-wal", "-shm", "-journal"))] == []
