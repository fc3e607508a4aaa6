"""The page of the doctor fits every terminal, says everything once, and obeys nothing that a file could hold."""

from __future__ import annotations

import re

import pytest

from holdfast.cli.render import examined
from holdfast.cli.render.doctor import report_lines
from holdfast.cli.render.doctor_page import page
from holdfast.cli.render.paper import Paper, width
from holdfast.doctor.model import Confidence, Cut, Database, Finding, Part, Report, Status, Target, overall

HOME = "/home/ann/.codex"
EVIL = "pay\x1b[2J\x1b]0;owned\x07 attention \u202etxt.exe <script>alert(1)</script>"
COLOURS = {
    "red": "\x1b[31m", "yellow": "\x1b[33m", "green": "\x1b[32m", "blue": "\x1b[34m",
    "bold": "\x1b[1m", "dim": "\x1b[2m", "plain": "\x1b[0m",
}  # fmt: skip


def finding(**said):
    whole = {
        "id": "wal-high-water",
        "row": "F03b",
        "status": Status.WARN,
        "path": f"{HOME}/logs_2.sqlite-wal",
        "measured": "28.9 GiB on the disk, of which 186 frames (748.6 KiB) are alive",
        "expected": "at most twice the database, or 64 MiB",
        "confidence": Confidence.LIKELY,
        "cause": "a reader held the log back for a long time",
        "remedy": "`holdfast doctor --plan plan.json` plans a checkpoint that truncates it",
        "repair": "checkpoint-truncate",
    }
    return Finding(**(whole | said))


def report(*findings, cut=(), targets=None, parts=True):
    databases = (Database(role="logs", path="/var/db/logs_2.sqlite", generation=2),)
    targets = targets or (
        Target(kind="codex", path=HOME, databases=databases, notes=("Its databases are in /var/db.",)),
    )
    sizes = {"logs_2.sqlite-wal": 31_000_000_000, "sessions/": 310_000_000, "日本語の名前": 5_000_000, "x": 4096}
    held = tuple(Part(name=name, path=f"{HOME}/{name}", bytes=size) for name, size in sizes.items())
    return Report(
        overall=overall(findings, cut), started_ms=1, duration_ms=1234, deep=False, targets=targets, findings=findings,
        cut=cut, parts={target.path: held for target in targets} if parts else {},
    )  # fmt: skip


MUCH = report(
    finding(id="malformed", row="F14", status=Status.FAIL, path="/var/db/logs_2.sqlite", measured="x" * 300),
    finding(),
    finding(path=f"{HOME}/sessions/2026/11/21/rollout-2026-11-21T10-00-00-01a1fd00-0000-7000-8000-000000000001.jsonl"),
    finding(id="names-lost", measured="the thread 日本語のとても長い題名日本語のとても長い題名 has lost its name"),
    finding(id="inotify-watches", path="", row="F18"),
    cut=(Cut(probe="table-check", path=HOME, why="it was not done within its limit of 250 ms"),),
)


def shown(seen, paper=None, **more):
    return list(report_lines(seen, paper or Paper(), typed=["~/.codex"], **more))


def bare(line):
    return re.sub(r"\x1b\[[0-9]+m", "", line)


@pytest.mark.parametrize("columns", [30, 36, 41, 55, 56, 80, 100, 120, 140])
@pytest.mark.parametrize("colours", [{}, COLOURS])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_line_fits_the_terminal(columns, colours, ascii_only):
    lines = [bare(line) for line in shown(MUCH, Paper(columns, ascii_only, **colours))]

    assert max(map(width, lines)) <= columns
    assert not ascii_only or all(line.isascii() for line in lines)
    assert "x" * 300 in "".join(line.strip() for line in lines)  # wrapped, and whole


def test_on_a_pipe_a_sentence_is_a_line():
    lines = shown(MUCH)

    assert "    measured  " + "x" * 300 in lines
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_a_healthy_machine_is_one_screen(targets):
    several = tuple(Target(kind="codex", path=f"/home/{n}", notes=("A note.",)) for n in range(targets))
    lines = shown(report(targets=several), Paper(80))

    assert len(lines) <= 24
    assert lines[-1] == "Nothing is wrong."


def test_findings_are_grouped_the_worst_first_each_below_its_target():
    text = "\n".join(shown(MUCH))
    order = ["Codex home", "1 failure", "malformed", "3 warnings", "wal-high-water", "names-lost",
             "1 could not be looked at", "table-check", "This machine", "inotify-watches"]  # fmt: skip

    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)
    assert text.count("inotify-watches") == 1
    assert shown(MUCH)[-3] == "1 failure, 4 warnings, 1 could not be looked at."


def test_what_many_findings_say_alike_is_said_once_and_many_are_counted():
    many = report(*(finding(path=f"{HOME}/{n}", measured=f"{n} things") for n in range(40)))
    text, whole = "\n".join(shown(many)), "\n".join(shown(many, verbose=True))

    assert text.count("things") == 3 and "and 37 more of wal-high-water; --verbose shows all" in text
    assert whole.count("things") == 40
    assert text.count("at most twice") == whole.count("at most twice") == 1


def test_the_largest_parts_are_drawn_and_the_rest_is_counted():
    lines = shown(report(), Paper(80))
    (drawn,) = [line for line in lines if "logs_2.sqlite-wal" in line]

    assert drawn.rstrip().endswith("█" * 20)
    assert "28.9 GiB" in drawn
    assert examined.largest(MUCH.parts[HOME], 2)[-1] == ("2 more", 5_004_096)


def test_it_says_what_to_run_next():
    assert "Next:  holdfast doctor --plan plan.json '~/.codex' (what would be done; changes nothing)" in shown(MUCH)
    assert not any("Next:" in line for line in shown(report(finding(repair=None))))
    assert any("holdfast doctor --deep" in line for line in shown(report(cut=MUCH.cut)))


@pytest.mark.parametrize("paper", [Paper(), Paper(60, **COLOURS), Paper(60, ascii=True)])
def test_nothing_that_a_file_holds_commands_the_terminal(paper):
    said = dict.fromkeys(("measured", "expected", "cause", "remedy", "id", "row", "path"), EVIL)
    seen = report(finding(**said), cut=(Cut(probe=EVIL, path=EVIL, why=EVIL),))
    sent = "".join(bare(line) for line in shown(seen, paper))

    assert "attention" in sent and "owned" not in sent
    assert not set("\x1b\x07\u202e") & set(sent)


def test_the_page_needs_nothing_and_runs_nothing():
    said = dict.fromkeys(("measured", "expected", "cause", "remedy", "id", "row"), EVIL)
    text = page(report(finding(**said, details={EVIL: [EVIL]}), cut=(Cut(probe=EVIL, path=HOME, why=EVIL),)))

    assert "&lt;script&gt;" in text
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://|\son[a-z]+=", text)
    assert not set("\x1b\x07\u202e") & set(text)
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_the_page_says_what_the_text_says():
    text = page(MUCH)

    assert "1 failure, 4 warnings" in text
    for each in MUCH.findings:
        assert each.measured in text and each.id in text
    assert "table-check" in text and "28.9 GiB" in text


def test_the_document_has_the_keys_that_were_promised():
    document = examined.report_document(MUCH)

    assert set(document) == {"schema", "overall", "findings", "targets", "cut", "parts", "duration_ms"}
    assert set(document["findings"][0]) == {
        "id", "row", "status", "path", "measured", "expected", "confidence", "cause", "remedy", "repair", "details",
    }  # fmt: skip
    assert document["overall"] == "fail"
