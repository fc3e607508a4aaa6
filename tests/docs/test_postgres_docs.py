"""The program of docs/postgres.md runs as it stands there, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "postgres.md"


def test_the_program_of_the_page_runs(schema_url, make_home, tmp_path):
    home = make_home(".codex")
    home.thread("hello there")
    program, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "xdg"), "AGENTS_DB": schema_url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "hello there" in done.stdout
    assert f"it is ours, with fence {(1 << 40) + 1}" in done.stdout


def test_the_move_of_the_page_runs(schema_url, tmp_path):
    _, program = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "xdg").mkdir()
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "xdg"),
        "AGENTS_DB": schema_url,
    }
    environment.pop("HOLDFAST_STATE", None)
    first = "import holdfast; holdfast.open([], search=False).close()"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{first}\n{program}"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "all compared; fences go on in epoch" in done.stdout
