"""A board as a folder or a file that people read: all of it is there, and it is whole or not there."""

from __future__ import annotations

import io
import os
import re

import pytest

from board_made import bytes_of, cards, fill
from holdfast import board
from holdfast.board import attaching, exchange
from holdfast.errors import Damaged, Refused
from holdfast.sql import statement

SPOIL = statement("UPDATE task_attachment_parts SET data = :data")


def test_one_file_has_every_task_once_under_its_status(engine, clock, tmp_path):
    fill(engine, "default", 2, clock=clock)

    report = exchange.export_markdown(engine, tmp_path / "board.md")

    text = (tmp_path / "board.md").read_text()
    column = None
    found = {}
    for line in text.splitlines():
        if line.startswith("## "):
            column = line[3:].lower()
        elif match := re.match(r"### (\d+) · ", line):
            assert int(match[1]) not in found
            found[int(match[1])] = column
    assert found == {card.id: card.status for card in cards(engine, "default")}
    assert report.counts.tasks == len(found)
    assert report.bytes == os.path.getsize(tmp_path / "board.md")
    out = io.BytesIO()
    exchange.export_markdown(engine, out)
    assert out.getvalue().decode() == text


def test_a_folder_has_a_file_for_each_task_and_each_attachment_and_every_link_leads_somewhere(engine, clock, tmp_path):
    fill(engine, "default", 0, clock=clock)
    target = tmp_path / "out"

    report = exchange.export_markdown(engine, target)

    files = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    there = cards(engine, "default")
    attached = [about for card in there for about in card.attachments]
    assert attached
    assert len(files) == report.files + 1 == 2 + len(there) + len(attached)  # and the mark
    for path in target.rglob("*.md"):
        for link in re.findall(r"\[[^\]]*\]\(([^)]+)\)", re.sub(r"(?m)^>.*$", "", path.read_text())):
            if re.match(r"(\.\./)*(tasks|attachments)/", link):
                assert (path.parent / link).is_file()
    assert sorted(bytes_of(engine, "default").values()) == sorted(
        path.read_bytes() for path in (target / "attachments").iterdir()
    )
    assert len(re.findall(r"\(tasks/", (target / "README.md").read_text())) == len(there)


def test_a_folder_of_an_earlier_export_is_replaced_when_asked_and_nobody_elses_ever(engine, tmp_path):
    with engine.write() as tx:
        board.create(tx, "one")
    target = tmp_path / "out"
    exchange.export_markdown(engine, target)
    (target / "tasks" / "stale.md").write_text("stale")
    with pytest.raises(Refused, match="is there already"):
        exchange.export_markdown(engine, target)

    exchange.export_markdown(engine, target, replace=True)

    assert not (target / "tasks" / "stale.md").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(Refused, match="is there already"):
        exchange.export_markdown(engine, tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "file").read_text() == "mine"


def test_an_export_that_meets_damage_leaves_nothing(engine, tmp_path):
    with engine.write() as tx:
        made = attaching.attach(tx, board.create(tx, "one").task.task_id, "a", b"abc")
        tx.run(SPOIL, data=b"abd")
    (tmp_path / "out").mkdir()
    for write, target in ((exchange.export_markdown, "folder"), (exchange.export_json, "file")):
        with pytest.raises(Damaged, match="is not what was attached"):
            write(engine, tmp_path / "out" / target)
    assert os.listdir(tmp_path / "out") == []
    with engine.write() as tx:
        attaching.detach(tx, made.attachment_id)
