"""The program of the page about boards in and out runs, and the page names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.board.exchange.format import FileLine, Line
from holdfast.board.exchange.model import BoardFacts, Card, CardComment, CardEvent, CardFile, CardRun, Counts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "board-import.md").read_text(encoding="utf-8")


def test_the_program_of_the_page_comes_to_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    found = {}

    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], found)

    assert (found["imported"].new.tasks, found["again"].new.tasks) == (1, 0)
    assert found["exported"].counts == Counts(tasks=1, comments=1, events=3, attachments=1, attachment_bytes=12)
    assert "Write the parser" in (tmp_path / "board.md").read_text()


def test_the_page_names_every_key_of_the_format_and_every_code_of_a_finding():
    told = set(re.findall(r"`([a-z_\d-]+)`", PAGE))
    keys = {
        name
        for kind in (Card, CardRun, CardComment, CardEvent, CardFile, BoardFacts)
        for name in kind.__struct_fields__
    }
    assert keys <= told
    for kind in (Line, FileLine):
        assert all(f'"{name}"' in PAGE or name in told for name in kind.__struct_fields__)
    source = "".join(path.read_text() for path in (ROOT / "src/holdfast/board").rglob("*.py"))
    codes = {
        f"hermes-{code}" for code in re.findall(r'\.?_?say\(\s*"([a-z\d-]+)"', source) if not code.startswith("import-")
    }
    codes |= set(re.findall(r'"(import-[a-z-]+)"', source))
    codes |= {"hermes-not-text", "hermes-not-a-number", "hermes-not-a-time"}
    assert codes <= told
