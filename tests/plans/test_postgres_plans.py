"""The hot statements on PostgreSQL, with 20,000 threads: each reads one range of one index, in order."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

import holdfast
from engines import open_engine
from holdfast.sql import Statement, statement
from holdfast.threads import listing, store
from holdfast.threads.model import Direction, Query, Sort

FILTERS = {
    "nothing": {},
    "cwd": {"cwds": ("/home/dev/7",)},
    "provider": {"providers": ("openai",)},
    "source": {"sources": ("exec",)},
}
MANY = """
INSERT INTO labels (label) SELECT '/home/dev/' || i FROM generate_series(0, 99) AS i;
INSERT INTO labels (label) VALUES ('openai'), ('other'), ('exec'), ('vscode');
INSERT INTO threads (home_id, thread_id, file_id, revision, created_ms, updated_ms, recency_ms, source_kind_id,
    provider_id, cwd_id, first_user_message, tokens_used, lines_unread, archived_file, name_folded)
SELECT t.home_id, decode(lpad(to_hex(i), 32, '0'), 'hex'), t.file_id, 1, i, i * 7 % 20011, i * 13 % 20011,
    (SELECT label_id FROM labels WHERE label = CASE i % 2 WHEN 0 THEN 'exec' ELSE 'vscode' END),
    (SELECT label_id FROM labels WHERE label = CASE i % 2 WHEN 0 THEN 'openai' ELSE 'other' END),
    (SELECT label_id FROM labels WHERE label = '/home/dev/' || i % 100),
    'words ' || i, 0, 0, 0, CASE i % 100 WHEN 0 THEN 'name ' || i END
FROM threads t, generate_series(1, 20000) AS i;
ANALYZE threads; ANALYZE labels; ANALYZE files; ANALYZE homes
"""


@pytest.fixture(scope="module")
def rich(server, tmp_path_factory):
    """A store of many threads, and the id of its home."""
    folder = tmp_path_factory.mktemp("plans")
    home = folder / "home" / "sessions" / "2026" / "11" / "21"
    home.mkdir(parents=True)
    id = "01a1fdfa-4600-7000-8000-000000000001"
    meta = {"id": id, "timestamp": "2026-11-21T12:00:00.000Z", "cwd": "/", "source": "cli", "originator": "made"}
    line = {"timestamp": "2026-11-21T12:00:00.000Z", "type": "session_meta", "payload": meta}
    (home / f"rollout-2026-11-21T12-00-00-{id}.jsonl").write_text(json.dumps(line) + "\n")
    name = server.new_schema()
    holdfast.open(folder / "home", state=server.url(name), state_dir=folder / "state", search=False).close()
    with open_engine(server.url(name)) as opened:
        with opened.write() as tx:
            tx.script(MANY)
            (home_id,) = tx.row(statement("SELECT home_id FROM homes")).values()
        yield opened, home_id
    server.drop(name)


class Watched:
    """A transaction that keeps what it was asked."""

    def __init__(self, tx):
        self._tx = tx
        self.asked = []

    def row(self, asked, /, **params):
        self.asked.append((asked, params))
        return self._tx.row(asked, **params)

    def rows(self, asked, /, **params):
        self.asked.append((asked, params))
        return self._tx.rows(asked, **params)

    def plan(self):
        """Return the nodes of the last statement's plan, from the outside in."""
        asked, params = self.asked[-1]
        explain = Statement("plan", "", f"EXPLAIN (FORMAT JSON) {asked.postgres}", asked.params, frozenset())
        (plan,) = self._tx.row(explain, **params).values()
        return list(_nodes(plan[0]["Plan"]))


def _nodes(node, above=()):
    yield node, above
    for child in node.get("Plans", ()):
        yield from _nodes(child, (*above, node))


def reads_of(plan, table):
    return [(node, above) for node, above in plan if node.get("Relation Name") == table]


@pytest.mark.parametrize("after", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("name", FILTERS)
def test_a_list_is_one_range_of_its_own_index_left_after_a_page(rich, name, sort, direction, after):
    engine, home_id = rich
    query = Query(sort=sort, direction=direction, **FILTERS[name])
    with engine.read() as tx:
        watched = Watched(tx)
        page = listing.page(watched, [home_id], query, limit=3)
        assert len(page) == 3
        if after:
            listing.page(watched, [home_id], query, limit=3, cursor=page.next_cursor)
        plan = watched.plan()
    index = f"threads_by_{sort}" if name == "nothing" else f"threads_by_{name}_{sort}"
    found = reads_of(plan, "threads")
    node, above = next(each for each in found if each[0]["Index Name"] == index)
    assert node["Scan Direction"] == ("Backward" if direction == "desc" else "Forward")
    assert [each["Node Type"] for each in above][-1] == "Limit", "nothing is sorted between the index and its page"
    assert [each["Index Name"] for each, _ in found if each is not node] == ["threads_pkey"]
    assert not [node for node, _ in plan if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "threads"]


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda tx, homes: store.get(tx, homes, b"\0" * 15 + b"\7"), "threads_home_id_thread_id_key"),
        (lambda tx, homes: store.resolve(tx, homes, "name 700"), "threads_by_name"),
        (
            lambda tx, homes: store.resolve(tx, homes, "00000000-0000-0000-0000-0000000012"),
            "threads_home_id_thread_id_key",
        ),
    ],
    ids=["id", "name", "beginning of an id"],
)
def test_a_thread_is_found_in_an_index(rich, ask, index):
    engine, home_id = rich
    with engine.read() as tx:
        watched = Watched(tx)
        with suppress(holdfast.Refused):  # several begin so
            assert ask(watched, [home_id]) is not None
        plan = watched.plan()
    # A hash or B-tree of it, also by way of a bitmap; never the whole table.
    assert index in {node.get("Index Name") for node, _ in plan}
    assert not [node for node, _ in plan if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "threads"]
