"""A board goes out as lines and comes back as it was: every task, run, word, event and byte."""

from __future__ import annotations

import io
import json
import os

import msgspec
import pytest

from board_made import as_seen, bytes_of, cards, counts, fill
from engines import open_engine
from holdfast import board, schema
from holdfast.board import attaching, exchange, saying
from holdfast.board.exchange import format
from holdfast.errors import Damaged, Refused


def exported(engine, slug="default", **words):
    out = io.BytesIO()
    exchange.export_json(engine, out, board=slug, **words)
    return out.getvalue()


def imported(engine, text, slug=None, **words):
    return exchange.import_json(engine, io.BytesIO(text), board=slug, **words)


@pytest.mark.parametrize("seed", range(3))
def test_a_board_comes_back_as_it_was_whatever_was_done_to_it(engine, clock, seed):
    with engine.write() as tx:
        board.cap(tx, "default", "ann", 3)
    fill(engine, "default", seed, clock=clock)

    report = imported(engine, exported(engine), "copy")

    assert report.findings == ()
    assert report.found == report.new
    assert report.found.tasks == len(cards(engine, "default"))
    assert as_seen(engine, "copy") == as_seen(engine, "default", after_import=True)
    assert counts(engine, "copy") == counts(engine, "default")
    assert bytes_of(engine, "copy") == bytes_of(engine, "default")
    with engine.read() as tx:
        assert board.caps(tx, board.get_board(tx, "copy").board_id) == {"ann": 3}


@pytest.mark.torture
def test_a_board_comes_back_as_it_was_after_very_much_was_done_to_it(engine, clock):
    first = int.from_bytes(os.urandom(4))
    for seed in range(first, first + 40):
        print(f"seed {seed}")
        slug = f"b{seed}"
        with engine.write() as tx:
            board.create_board(tx, slug)
        fill(engine, slug, seed, steps=400, clock=clock)
        imported(engine, exported(engine, slug), f"{slug}-copy")

        assert as_seen(engine, f"{slug}-copy") == as_seen(engine, slug, after_import=True)
        assert counts(engine, f"{slug}-copy") == counts(engine, slug)
        assert bytes_of(engine, f"{slug}-copy") == bytes_of(engine, slug)


def test_a_board_goes_from_one_engine_to_the_other_and_back(clock, tmp_path, schema_url):
    with open_engine(str(tmp_path / "one.db"), clock) as one, open_engine(schema_url, clock) as two:
        schema.migrate(one)
        schema.migrate(two)
        fill(one, "default", 7, clock=clock)
        first = exported(one)

        imported(two, first)
        back = imported(one, exported(two))

        assert as_seen(two, "default") == as_seen(one, "default", after_import=True)
        assert back.new.tasks == 0
        assert back.known.tasks == len(cards(one, "default"))
        assert exported(one) == first  # who comes home changes nothing


def test_the_same_export_again_brings_nothing_and_a_later_one_what_was_said_since(engine, clock):
    fill(engine, "default", 3, clock=clock)
    imported(engine, exported(engine), "copy")
    before = as_seen(engine, "copy")
    again = imported(engine, exported(engine), "copy")
    assert as_seen(engine, "copy") == before
    assert (again.new.tasks, again.new.comments, again.new.attachments) == (0, 0, 0)
    assert again.known.tasks == again.found.tasks

    first = cards(engine, "default")[0]
    with engine.write() as tx:
        saying.comment(tx, first.id, "and then", author="ann")
        attaching.attach(tx, first.id, "new.txt", b"new")
        board.create(tx, "one more", parents=[first.id])
    later = imported(engine, exported(engine), "copy")

    assert (later.new.tasks, later.new.comments, later.new.attachments) == (1, 1, 1)
    assert later.oddities == {"import-went-on": 1}
    once_more = imported(engine, exported(engine), "copy").new
    assert (once_more.tasks, once_more.comments, once_more.attachments) == (0, 0, 0)
    copy = {card.title: card for card in cards(engine, "copy")}
    assert copy[first.title].comments[-1].body == "and then"
    assert copy["one more"].parents[0].id == copy[first.title].id
    assert counts(engine, "copy") == counts(engine, "default")


def test_a_known_task_that_waits_for_a_new_one_there_waits_for_it_here(engine):
    with engine.write() as tx:
        child = board.create(tx, "child").task
    imported(engine, exported(engine), "copy")
    with engine.write() as tx:
        board.link(tx, board.create(tx, "parent").task.task_id, child.task_id)

    report = imported(engine, exported(engine), "copy")

    assert report.new.links == 1
    assert {card.title: card.status for card in cards(engine, "copy")} == {"child": "todo", "parent": "ready"}


def test_a_dry_run_counts_what_would_come_and_writes_nothing(engine, clock):
    fill(engine, "default", 4, clock=clock)
    text = exported(engine)

    would = imported(engine, text, "copy", dry_run=True)

    with engine.read() as tx:
        assert board.get_board(tx, "copy") is None
    did = imported(engine, text, "copy")
    assert msgspec.structs.replace(would, duration_ms=0, dry_run=False) == msgspec.structs.replace(did, duration_ms=0)


def test_without_attachments_their_names_and_hashes_go_out_alone(engine):
    with engine.write() as tx:
        task = board.create(tx, "one").task
        attaching.attach(tx, task.task_id, "a.txt", b"abc")
    text = exported(engine, attachments="none")

    report = imported(engine, text, "copy")

    assert b'"sha256"' in text
    assert report.found.attachments == 0
    assert cards(engine, "copy")[0].attachments == []


def lines(engine):
    with engine.write() as tx:
        parent = board.create(tx, "parent", alias="p").task
        board.create(tx, "child", parents=[parent.task_id])
    return exported(engine).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda text: text[:-1], "is torn: 2 tasks and 0 attachments, no last line"),
        (lambda text: [*text[:-1], text[-1].rstrip()], "it has no end"),
        (lambda text: [text[0], text[2], text[3]], "2 tasks and 0 attachments told at its end"),
        (lambda text: [text[0], text[1], text[1], *text[2:]], "line 3: a task 1 came before"),
        (lambda text: text[1:], "its first line does not say so"),
        (lambda text: [], "is empty"),
        (lambda text: [text[0], b"{no json\n", *text[1:]], "line 2: JSON is malformed"),
        (lambda text: [*text, text[1]], "something follows the last line"),
        (lambda text: [line.replace(b'"todo"', b'"maybe"') for line in text], "task 2: status is 'maybe'"),
        (lambda text: [line.replace(b'"gate":"done"', b'"gate":"soon"') for line in text], "task 2: gate is 'soon'"),
        (lambda text: [line.replace(b'"title":"child"', b'"title":5') for line in text], "line 3: Expected `str`"),
        (lambda text: [text[0], b'{"task":{"id":1}}\n', *text[2:]], "line 2: Object missing required field"),
    ],
)
def test_what_is_torn_or_no_export_is_refused_whole(engine, spoil, told):
    text = b"".join(spoil(lines(engine)))

    with pytest.raises(Damaged, match=told) as caught:
        imported(engine, text, "copy")

    assert "nothing was written" in str(caught.value) or told in str(caught.value)
    with engine.read() as tx:
        assert board.get_board(tx, "copy") is None


def test_an_export_of_a_newer_version_is_left_to_a_newer_holdfast(engine):
    text = b"".join(lines(engine)).replace(b'{"holdfast_board":1', b'{"holdfast_board":2')

    with pytest.raises(Refused, match="is of version 2; 1 is known here"):
        imported(engine, text, "copy")


def test_links_that_cannot_be_are_left_out_and_told(engine):
    first, parent, child, last = lines(engine)
    task = json.loads(parent)["task"]
    task["parents"] = [{"id": 2, "gate": "done"}, {"id": 99, "gate": "done"}]
    text = b"".join([first, json.dumps({"task": task}).encode() + b"\n", child, last])

    report = imported(engine, text, "copy")

    assert report.oddities == {"import-link-dangling": 1, "import-link-cycle": 1}
    assert {card.title: card.status for card in cards(engine, "copy")} == {"parent": "ready", "child": "todo"}


def test_a_parent_that_was_moved_to_another_board_here_keeps_nobody_waiting_on_this_one(engine):
    with engine.write() as tx:
        parent = board.create(tx, "parent").task.task_id
    imported(engine, exported(engine), "copy")
    with engine.write() as tx:
        board.create_board(tx, "other")
        board.move_to(tx, cards(engine, "copy")[0].id, "other")
        board.create(tx, "child", parents=[parent])

    report = imported(engine, exported(engine), "copy")

    assert report.oddities == {"import-link": 1}
    assert [(card.title, card.status) for card in cards(engine, "copy")] == [("child", "ready")]


def test_who_waits_for_children_that_do_not_come_waits_no_more(engine):
    with engine.write() as tx:
        parent = board.create(tx, "parent").task.task_id
        board.create(tx, "child", parents=[(parent, "none")])
        board.block(tx, parent, "their work", kind="children")
    first, above, _, last = exported(engine).splitlines(keepends=True)
    alone = b"".join([first, above, last.replace(b'"tasks":2', b'"tasks":1')])

    imported(engine, exported(engine), "whole")
    imported(engine, alone, "part")

    assert {card.title: card.status for card in cards(engine, "whole")} == {"parent": "blocked", "child": "ready"}
    assert [card.status for card in cards(engine, "part")] == ["ready"]


def test_an_idempotency_key_that_another_task_has_stays_with_it(engine):
    with engine.write() as tx:
        board.create(tx, "there", request="k")
        board.create_board(tx, "other")
        board.create(tx, "here", request="k", board="other")

    report = imported(engine, exported(engine), "other")

    assert report.oddities == {"import-request-taken": 1}
    with engine.write() as tx:
        assert board.create(tx, "again", request="k", board="other").task.title == "here"


def test_every_line_has_what_the_document_says_and_nothing_is_read_that_nobody_wrote(engine, clock):
    fill(engine, "default", 5, clock=clock)

    first, *tasks, last = map(json.loads, exported(engine).splitlines())

    assert first["holdfast_board"] == format.VERSION
    assert first["tasks"] == sum("task" in each for each in tasks) == last["end"]["tasks"]
    kinds = {next(iter(each)) for each in tasks}
    assert kinds == {"task", "attachment"}


def test_a_board_that_is_not_there_is_no_export(engine):
    with pytest.raises(Refused, match="there is no board nowhere"):
        exported(engine, "nowhere")
