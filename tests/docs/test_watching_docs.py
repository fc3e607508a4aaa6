"""The program on the page about watching runs."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "watching.md"


def test_the_program_of_the_page_waits_for_an_event(tmp_path, monkeypatch):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name in ("project", ".codex"):
        (tmp_path / name).mkdir()
    (tmp_path / ".codex" / "auth.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    found = {}
    exec(program, found)

    assert found["event"] is None
    assert found["subscription"].closed
