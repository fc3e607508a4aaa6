"""No text of the doctor, nor of its pages, holds a destructive command to paste; and each shape is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from advice import DESTROYS, check_advice

ROOT = Path(__file__).parent.parent.parent


def test_the_doctor_tells_nobody_to_destroy_something():
    assert check_advice(ROOT / "src") == []


@pytest.mark.parametrize(
    "text",
    [
        "remove it: `rm -f ~/.codex/logs_2.sqlite-wal`",
        "rm logs_2.sqlite-wal",
        "run rm {}-wal",
        "stop it with kill -9 {}",
        "`kill {}` ends it",
        "pkill codex",
        "fuser -k /x",
        "DELETE FROM logs WHERE ts < 1",
        "drop trigger block_log_inserts",
        "PRAGMA writable_schema = 1",
        "PRAGMA journal_mode=DELETE",
        "mv state_5.sqlite state.bak",
        "cp old.db ~/.codex/state_5.sqlite",
        "truncate -s 0 logs_2.sqlite-wal",
        "`: > /x/logs_2.sqlite-wal`",
        "> ~/.codex/logs_2.sqlite",
        "chmod 777 {}",
        "chmod -R 0666 x",
        "chmod o+w {}",
        "find ~/.codex -name '*-wal' -delete",
        "sqlite3 {} 'VACUUM;'",
    ],
)
def test_each_shape_is_seen(tmp_path, text):
    folder = tmp_path / "holdfast" / "doctor" / "probes"
    folder.mkdir(parents=True)
    (tmp_path / "holdfast" / "__init__.py").write_text("")
    escaped = text.replace('"', "'")
    (folder / "bad.py").write_text(f'"""{escaped}"""\nNAME = 1\nSAID = f"{escaped.replace("{}", "{NAME}")}"\n')

    assert len(check_advice(tmp_path)) == 1


def test_what_a_repair_says_is_looked_at_and_what_it_does_is_not(tmp_path):
    folder = tmp_path / "holdfast" / "doctor" / "repairs"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(
        'WORDS = "then rm -f it"\n'
        'run("DELETE FROM logs")\n'
        'Action(what="DELETE FROM logs", keeps=f"mv {a} {b}")\n'
        "Outcome(notes=(WORDS,))\n"
        'raise Refused("kill -9 them", remedy="or do not")\n'
    )

    assert len(check_advice(tmp_path)) == 4


@pytest.mark.parametrize(
    "text",
    [
        "`kill -CONT 4711` lets it go on",
        "`holdfast doctor --plan plan.json` plans a checkpoint that truncates it",
        "a cron line that deletes the log; take it out",
        "the files were moved while they were open",
        "`chmod 600` keeps others out, `chmod 0700 ~/.codex` too",
        "a checkpoint (TRUNCATE), VACUUM INTO a copy",
        "end it as its program wants to be ended; a kill loses nothing of SQLite",
        "cp -a ~/.codex /mnt/usb/",
        "the firm term of 10 ms",
    ],
)
def test_what_only_says_so_stays(text):
    assert not [shape.pattern for shape in DESTROYS if shape.search(text)]


@pytest.mark.parametrize("page", ["doctor.md", "bad-day.md"])
def test_no_command_of_the_pages_destroys_something(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    commands = re.findall(r"^    (\S.*)$|^\$ (.*)$|`([^`\n]+)`", text, re.MULTILINE)
    fenced = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]

    for command in [*("".join(each) for each in commands), *fenced]:
        assert not [shape.pattern for shape in DESTROYS if shape.search(command)], command
