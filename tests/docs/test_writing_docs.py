"""The program on the page about writing rollouts runs, and Codex' kind of home comes out of it."""

from __future__ import annotations

import re
from pathlib import Path

import holdfast
from holdfast.rollouts import scan, walk

PAGE = Path(__file__).parent.parent.parent / "docs" / "writing-rollouts.md"


PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_program_of_the_page_writes_resumes_and_forks_a_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    exec(PROGRAMS[0], {"state_dir": str(tmp_path / "state")})

    with holdfast.open(own="~/.my-agent", state_dir=tmp_path / "state", search=False) as state:
        assert state.reports[0].indexed == 0, "the index knows all that was written"
        threads = state.threads.list().threads
        turns = {thread.forked_from_id is not None: len(state.threads.read(thread.id).turns) for thread in threads}
    assert turns == {False: 2, True: 1}


def test_the_second_writes_a_file_without_a_database(tmp_path):
    exec(PROGRAMS[1], {"home": str(tmp_path)})

    (entry,) = walk(str(tmp_path))
    facts = scan(f"{tmp_path}/{entry.path}").facts
    assert (facts.title, facts.turns, facts.lines_unread) == ("fix the failing test", 1, 0)
