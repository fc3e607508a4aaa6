"""A board of Hermes comes over whole; what does not fit is told, and kept; a second time only what is new comes."""

from __future__ import annotations

import os

import pytest

from board_made import bytes_of, cards
from hermes_roots import made, recorded
from holdfast import board, holds
from holdfast.board import exchange
from holdfast.errors import Damaged, Refused


def by_title(engine, slug="default"):
    return {card.title: card for card in cards(engine, slug)}


def by_code(report):
    found = {}
    for each in report.findings:
        found.setdefault(each.code, []).append(f"{each.subject}: {each.measured}")
    return found


@pytest.fixture(params=["0.13.0-killed", "0.19.0"])
def root(request, tmp_path):
    return recorded(request.param, tmp_path / "hermes")


def test_every_task_of_a_real_board_comes_with_its_status_parents_runs_and_words(engine, root):
    reports = exchange.import_hermes(engine, root)

    assert [(each.board, each.made_board) for each in reports] == [("default", False), ("side-project", True)]
    for report in reports:
        found = by_title(engine, report.board)
        assert report.new == report.found
        assert report.known.tasks == 0
        statuses = {title: card.status for title, card in found.items()}
        looped = statuses.pop("Blocked twice")
        scheduled = statuses.pop("Scheduled", None)
        assert looped == ("triage" if scheduled else "blocked")  # 0.13 had no breaker for loops
        assert scheduled in (None, "blocked")
        assert statuses == {
            "Ready one": "ready",
            "Parent": "ready",
            "Child": "todo",
            "Grandchild": "todo",
            "Done one": "done",
            "After done": "ready",
            "Running": "ready",
            "Blocked": "blocked",
            "Triage": "triage",
            "Gave up": "blocked",
            "Archived undone": "archived",
            "Below archived": "ready",
            "Archived done": "archived",
            "Worktree": "ready",
            "Dir": "ready",
            "In review": "review",
        }
        ready, done, blocked = found["Ready one"], found["Done one"], found["Blocked"]
        assert (ready.priority, ready.assignee, ready.tenant, ready.created_by) == (5, "coder", "acme", "ann")
        assert ready.alias.startswith("t_")
        assert ready.body == "Do it.\n\n# With a heading\n"
        assert (ready.time_max_ms, ready.failures_max) == (600_000, 4)
        assert [asked.request for asked in ready.requests] == ["key-1"]
        assert ready.metadata["hermes"]["skills"] == ["python", "sql"]
        assert ready.metadata["hermes"]["notify"][0]["platform"] == "telegram"
        assert (done.summary, done.result) == ("Added a test", "it works")
        assert [(run.outcome, run.metadata, run.assignee) for run in done.runs] == [
            ("completed", {"files": ["a.py"], "n": 3}, "coder")
        ]
        assert [each.body for each in done.comments] == ["half way … ü"]
        assert [each.kind for each in done.events][:4] == ["created", "claimed", "commented", "done"]
        assert done.events[1].run == done.runs[0].id
        assert blocked.block_reason == "waiting for the API key"
        assert (found["Gave up"].block_kind, found["Gave up"].failure) == ("failures", "cannot spawn")
        assert [parent.id for parent in found["Child"].parents] == [found["Parent"].id]
        assert [parent.gate for parent in found["Below archived"].parents] == ["none"]
        assert found["Archived done"].archived_from == "done"
        assert found["Archived undone"].archived_from == "todo"
        assert found["Worktree"].workspace_kind == "worktree"
        assert found["Worktree"].branch == ("feat/x" if scheduled else None)  # 0.13 had no branches
        assert found["Dir"].workspace_kind == "directory"
        running = found["Running"]
        assert [(run.outcome, run.ended_ms is not None) for run in running.runs] == [("reclaimed", True)]
        assert running.events[-1].kind == "imported"
        assert running.events[-1].payload["claim"]["claim_lock"] == "builder:4242"
    with engine.read() as tx:
        side = board.get_board(tx, "side-project")
    assert (side.name, side.description) == ("Side Project", "the other one")


def test_files_come_along_and_what_is_ready_there_can_be_claimed_and_done_here(engine, tmp_path):
    exchange.import_hermes(engine, recorded("0.19.0", tmp_path))

    files = bytes_of(engine, "default")
    assert {(title, name): data for (title, name, _), data in files.items()} == {
        ("Ready one", "spec.txt"): b"the spec\n" * 100,
        ("Done one", "gone.bin"): b"\0\1\2",
    }
    titles = []
    with engine.write() as tx:
        while isinstance(claim := board.claim_next(tx, "default", holds.me(), lease_ms=1000), board.Claimed):
            board.done(tx, claim.task.task_id, fence=claim.fence)
            titles.append(claim.task.title)
    assert titles[0] == "Ready one"
    assert titles.index("Parent") < titles.index("Child") < titles.index("Grandchild")
    with engine.write() as tx:
        assert board.create(tx, "asked again", request="key-1").task.title == "Ready one"


def test_a_second_import_brings_only_what_is_new_and_leaves_what_people_did_here(engine, tmp_path):
    root = made(tmp_path, """
tables()
task("t_1", "first"); task("t_2", "second")
row("task_comments", 1, "t_1", "ann", "one", 1700000001)
row("task_events", 1, "t_1", None, "created", None, 1700000000)
""")  # fmt: skip
    exchange.import_hermes(engine, root)
    with engine.write() as tx:
        board.done(tx, by_title(engine)["first"].id, summary="done here")

    again = exchange.import_hermes(engine, root)[0]
    assert (again.new.tasks, again.new.comments, again.known.tasks, again.known.comments) == (0, 0, 2, 1)
    assert again.oddities == {}

    more = tmp_path / "more"
    made(more, """
tables()
task("t_1", "first", "blocked"); task("t_2", "second"); task("t_3", "third"); task("t_0", "above")
row("task_links", "t_2", "t_3")
row("task_links", "t_0", "t_2")
row("task_comments", 1, "t_1", "ann", "one", 1700000001)
row("task_comments", 2, "t_1", "ann", "two", 1700000002)
row("task_events", 1, "t_1", None, "created", None, 1700000000)
row("task_events", 2, "t_1", None, "blocked", '{"reason": "no key"}', 1700000003)
""")  # fmt: skip
    later = exchange.import_hermes(engine, more)[0]

    found = by_title(engine)
    assert (later.new.tasks, later.new.comments, later.known.tasks) == (2, 1, 2)
    assert later.oddities == {"import-went-on": 1}
    assert "1 events there since" in later.findings[0].measured
    assert found["first"].status == "done"
    assert [each.body for each in found["first"].comments] == ["one", "two"]
    assert {title: card.status for title, card in found.items() if title != "first"} == {
        "above": "ready",
        "second": "todo",
        "third": "todo",
    }


def test_rows_that_are_odd_lose_nothing_and_each_is_told(engine, tmp_path):
    root = made(tmp_path, r"""
tables()
run("ALTER TABLE tasks ADD COLUMN colour TEXT")
task("t_num", "numbers", priority="high", created_at="1700000000", max_runtime_seconds="soon", colour="red")
task("t_when", "times", created_at="yesterday", completed_at=10**17)
task("t_blob", "texts", body=b"\x00\xff", result="a\0b")
task("t_weird", "status", "waiting", block_kind="mood", workspace_kind="moon", workspace_path="/far")
task("t_none", "", status="ready")
task("t_two", "twins"); task("t_two", "twin"); task(None, "nameless")
task("t_key1", "older key", idempotency_key="k", created_at=1); task("t_key2", "newer key", idempotency_key="k")
task("t_key3", "put away", "archived", idempotency_key="k", created_at=1800000000)
task("t_utf", "not utf-8"); run("UPDATE tasks SET body = CAST(x'61ff62' AS TEXT) WHERE id = 't_utf'")
task("t_a", "circle a"); task("t_b", "circle b"); task("t_c", "below the circle")
for parent, child in (("t_a", "t_b"), ("t_b", "t_a"), ("t_b", "t_c"), ("t_num", "t_num"), ("t_gone", "t_c")):
    row("task_links", parent, child)
task("t_run", "runs")
row("task_runs", 1, "t_run", "p", "exploded", 1700000000, None, "exploded", "s", "{no json", "e")
row("task_runs", None, "t_run", "p", "done", "x", 1700000005, "completed", None, "[1]", None)
row("task_events", 1, "t_run", 1, "odd_kind", '{"n": 123456789012345678901234567890}', 1700000000)
row("task_events", 2, "t_run", 99, "created", "[" * 5000, 1700000000)
row("task_comments", 1, "t_gone", "ann", "of nothing", 1)
row("kanban_notify_subs", "t_gone", "irc", "c", "t")
task("t_many", "many events")
run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
    "INSERT INTO task_events SELECT i + 100, 't_many', NULL, 'heartbeat', NULL, 1700000000 + i FROM n")
task("t_wait", "scheduled", "scheduled")
run("CREATE TABLE plugin_notes (a, b)"); row("plugin_notes", 1, 2)
""")  # fmt: skip

    report = exchange.import_hermes(engine, root)[0]

    found, told = by_title(engine), by_code(report)
    assert report.found.tasks == report.new.tasks == len(found) == 18
    assert report.oddities == {
        "hermes-not-a-number": 4,
        "hermes-number-as-text": 1,
        "hermes-not-a-time": 1,
        "hermes-not-text": 1,
        "hermes-status-unknown": 1,
        "hermes-block-unknown": 1,
        "hermes-workspace-unknown": 1,
        "hermes-no-title": 1,
        "hermes-task-id": 2,
        "hermes-key-twice": 1,
        "hermes-not-utf8": 1,
        "hermes-link-dangling": 1,
        "hermes-link-cycle": 2,
        "hermes-outcome-unknown": 1,
        "hermes-bad-json": 3,
        "hermes-row-without-task": 2,
        "hermes-events-beyond-bound": 1,
        "hermes-no-time": 1,
        "hermes-table-unknown": 1,
    }
    assert found["numbers"].metadata["hermes"]["odd"] == {"priority": "high", "max_runtime_seconds": "soon"}
    assert found["numbers"].metadata["hermes"]["colour"] == "red"
    assert found["numbers"].created_ms == 1_700_000_000_000
    assert found["times"].metadata["hermes"]["odd"] == {"created_at": "yesterday", "completed_at": 10**17}
    assert found["texts"].metadata["hermes"]["odd"] == {"body": {"base64": "AP8="}}
    assert found["status"].status == "triage"
    assert found["status"].metadata["hermes"]["status"] == "waiting"
    assert found["status"].metadata["hermes"]["workspace_path"] == "/far"
    assert found["(no title)"].alias == "t_none"
    assert found["nameless"].alias.startswith("task (row ")
    assert [asked.request for asked in found["newer key"].requests] == ["k"]
    assert found["older key"].metadata["hermes"]["idempotency_key"] == "k"
    assert found["not utf-8"].body == r"a\xffb"
    assert {title: found[title].status for title in ("circle a", "circle b", "below the circle")} == {
        "circle a": "ready",
        "circle b": "todo",
        "below the circle": "todo",
    }
    runs = found["runs"].runs
    assert [(run.attempt, run.outcome) for run in runs] == [(1, "reclaimed"), (2, "completed")]
    assert runs[0].metadata == {"hermes": {"text": "{no json", "outcome": "exploded"}}
    assert [each.kind for each in found["runs"].events] == ["hermes_odd_kind", "created", "imported"]
    assert len(found["many events"].events) == 1_000
    assert "of nothing" in told["hermes-row-without-task"][0]
    assert found["scheduled"].status == "blocked"


def test_only_files_of_the_boards_own_folder_are_read_and_none_that_is_too_large_or_no_file(engine, tmp_path):
    root = tmp_path / "hermes"
    folder = root / "kanban" / "attachments" / "t_1"
    folder.mkdir(parents=True)
    (folder / "good.txt").write_bytes(b"good")
    (folder / "longer.txt").write_bytes(b"longer than told")
    os.mkfifo(folder / "pipe")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with open(folder / "large.bin", "wb") as file:
        file.truncate(26 << 20)
    made(root, """
tables()
task("t_1", "files")
here = sys.argv[2]
for n, (name, path, size) in enumerate([
    ("good.txt", f"/gone/{'t_1'}/good.txt", 4), ("longer.txt", f"{here}/longer.txt", 1), ("pipe", f"{here}/pipe", 1),
    ("secret", sys.argv[3], 6), ("link", f"{here}/link", 6), ("dots", f"{here}/../../../../secret", 6),
    ("large.bin", f"{here}/large.bin", 27262976), ("missing", f"{here}/missing", 1), ("", None, None),
]): row("task_attachments", n + 1, "t_1", name, path, None, size, "ann", 1700000000)
""", folder, tmp_path / "secret")  # fmt: skip

    report = exchange.import_hermes(engine, root)[0]

    assert {name: data for (_, name, _), data in bytes_of(engine, "default").items()} == {
        "good.txt": b"good",
        "longer.txt": b"longer than told",
    }
    told = by_code(report)
    assert report.oddities == {"hermes-attachment-missing": 7, "hermes-attachment-size": 1}
    assert "at most 26214400" in "".join(told["hermes-attachment-missing"])
    kept = by_title(engine)["files"].metadata["hermes"]["attachments"]
    assert [each["filename"] for each in kept] == [
        "good.txt", "longer.txt", "pipe", "secret", "link", "dots", "large.bin", "missing", "",
    ]  # fmt: skip


def test_what_a_version_did_not_have_yet_is_told_and_the_rest_comes(engine, tmp_path):
    root = made(tmp_path, """
table("tasks", "id TEXT, title TEXT, status TEXT, created_at, workspace_kind")
table("task_links", "parent_id TEXT")
task("t_1", "first")
""")  # fmt: skip

    report = exchange.import_hermes(engine, root)[0]

    assert report.new.tasks == 1
    assert report.oddities == {"hermes-table-missing": 5, "hermes-column-missing": 1}


def test_a_damaged_board_gives_what_can_be_read_and_says_what_cannot(engine, tmp_path):
    root = made(tmp_path, """
tables()
run("BEGIN")
for n in range(400): task(f"t_{n:04}", f"task {n}", body="x" * 400)
run("COMMIT")
""")  # fmt: skip
    with open(root / "kanban.db", "r+b") as file:
        file.seek(os.path.getsize(root / "kanban.db") // 4096 // 2 * 4096)
        file.write(b"\xa5" * 4096)

    report = exchange.import_hermes(engine, root)[0]

    assert 350 < report.new.tasks < 400
    assert report.oddities["hermes-damaged"] >= 1
    assert "rows from its beginning" in by_code(report)["hermes-rows-lost"][0]


def test_what_is_no_board_is_refused_in_a_sentence(engine, tmp_path):
    with pytest.raises(Refused, match="has no board of Hermes"):
        exchange.import_hermes(engine, tmp_path)
    with pytest.raises(Refused, match="there is no"):
        exchange.import_hermes(engine, tmp_path / "kanban.db")
    (tmp_path / "kanban.db").write_bytes(b"no database" * 100)
    with pytest.raises(Damaged, match="does not begin like one"):
        exchange.import_hermes(engine, tmp_path)
    made(tmp_path / "other", "table('notes', 'a')")
    with pytest.raises(Damaged, match="no table tasks, but notes"):
        exchange.import_hermes(engine, tmp_path / "other" / "kanban.db")


def test_one_board_gets_the_name_it_is_given_and_several_do_not(engine, tmp_path):
    root = recorded("0.19.0", tmp_path)

    with pytest.raises(Refused, match="has 2 boards"):
        exchange.import_hermes(engine, root, board="mine")
    report = exchange.import_hermes(engine, root / "kanban" / "boards" / "side-project", board="mine")[0]

    assert (report.board, report.made_board, report.new.tasks) == ("mine", True, 18)
    assert len(cards(engine, "mine")) == 18


def test_of_several_boards_one_that_cannot_be_read_keeps_no_other_from_coming(engine, tmp_path):
    root = recorded("0.19.0", tmp_path)
    (root / "kanban.db").write_bytes(b"no database" * 100)
    (root / "kanban" / "boards" / "Odd Name").mkdir()
    (root / "kanban" / "boards" / "Odd Name" / "kanban.db").write_bytes(
        (root / "kanban" / "boards" / "side-project" / "kanban.db").read_bytes()
    )

    default, odd, side = exchange.import_hermes(engine, root)

    assert (default.board, default.oddities) == ("default", {"hermes-unreadable": 1})
    assert "does not begin like one" in default.findings[0].measured
    assert "a board is called by" in odd.findings[0].measured
    assert (side.board, side.new.tasks) == ("side-project", 18)


def test_a_dry_run_of_a_board_tells_all_and_writes_nothing(engine, tmp_path):
    root = recorded("0.19.0", tmp_path)

    report = exchange.import_hermes(engine, root / "kanban.db", dry_run=True)[0]

    assert report.dry_run
    assert (report.new.tasks, report.new.attachments) == (18, 2)
    assert report.oddities == {"hermes-was-running": 1, "hermes-no-time": 1}
    assert cards(engine, "default") == []
