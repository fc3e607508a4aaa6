"""Each probe, by what it is for: damage one thing, and exactly that is found. Nothing of it is committed."""

from __future__ import annotations

import pytest

from holdfast.findings import Finding
from holdfast.ingest.probes import probes as ingest_probes
from holdfast.ingest.rules import RESUME_BYTES_MIN
from holdfast.threads.probes import probes as thread_probes
from holdfast.tools.model import Tool
from homes import NOON_MS
from rows import findings, statement


class Undo(Exception):
    """Ends a transaction without committing it."""


@pytest.fixture
def varied(make_home, open_state):
    """Threads of every kind: a fork, a copy, an archived one, a missing one, a long one, a torn one, a packed one."""
    home, other = make_home(), make_home("other")
    origin = home.thread("how it began", paginated=True, id="01a1fdfa-4600-7000-8000-000000000001")
    home.thread("a fork", paginated=True, base=(origin, 3), id="01a1fdfa-4600-7000-8000-000000000002")
    copied = home.thread("a copied one", id="01a1fdfa-4600-7000-8000-000000000003")
    home.copy(copied, "sessions/copies")
    home.thread("an archived one", archived=True)
    gone = home.thread("one that will be gone")
    long = home.thread("long " * (RESUME_BYTES_MIN // 4))
    home.append(long, "and torn", ms=NOON_MS, ends="")
    torn = home.thread("torn")
    home.append(torn, "half a line", ends="")
    home.change(lambda: home.file(torn).write_bytes(home.file(torn).read_bytes()[:-9]))
    packed = home.thread("packed")
    home.pack(packed)
    other.thread("in the other home")
    state = open_state(home, other)
    home.delete(gone)
    state.threads.set_tools(long, [Tool(name="a tool")])
    state.index()
    assert [thread.id for thread in state.threads.list(missing=True) if thread.missing_since_ms is not None] == [gone]
    return state


@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        ("UPDATE threads SET file_id = (SELECT file_id FROM threads WHERE n = {fork}) WHERE n = {one}",
         {"thread-file-of-another", "thread-file-shared", "file-thread-missing"}),
        ("UPDATE files SET thread_id = x'01a1fdfa460070008000000000000abc' WHERE file_id = {file}",
         {"thread-file-of-another", "file-thread-missing"}),
        ("UPDATE files SET status = 'gone' WHERE file_id = {file}", {"thread-file-gone"}),
        ("UPDATE files SET status = 'duplicate' WHERE file_id = {file}", {"thread-file-copy"}),
        ("UPDATE threads SET missing_since_ms = 1 WHERE n = {one}", {"thread-missing-yet-there"}),
        ("UPDATE threads SET missing_since_ms = 1 WHERE thread_id = x'01a1fdfa460070008000000000000003'",
         {"thread-missing-yet-there", "file-copy-unheard"}),
        ("UPDATE threads SET file_id = (SELECT f.file_id FROM files f WHERE f.home_id <> threads.home_id LIMIT 1)"
         " WHERE n = {one}", {"thread-file-of-another-home", "thread-file-shared", "file-thread-missing"}),
        ("UPDATE threads SET preview = 'its own', first_user_ordinal = 7 WHERE n = {fork}",
         {"thread-preview-not-inherited"}),
        ("UPDATE threads SET cwd_id = 999999 WHERE n = {one}", {"thread-label-missing"}),
        ("UPDATE threads SET source_kind_id = 0 WHERE n = {one}", {"thread-label-missing"}),
        ("DELETE FROM labels WHERE label = '/home/dev/src/made'", {"thread-label-missing"}),
        ("UPDATE counters SET value = 0 WHERE name = 'revision'", {"thread-from-the-future"}),
        ("DELETE FROM threads WHERE n = {one}", {"file-thread-missing"}),
        ("DELETE FROM threads WHERE thread_id = x'01a1fdfa460070008000000000000003'",
         {"file-thread-missing", "file-copy-unheard"}),
        ("UPDATE files SET status = 'ok' WHERE status = 'duplicate'", {"file-thread-missing"}),
        ("UPDATE files SET status = 'splendid' WHERE status = 'duplicate'", {"file-status"}),
        ("UPDATE files SET thread_id = NULL WHERE status = 'duplicate'", {"file-nameless", "file-copy-unheard"}),
        ('UPDATE files SET "offset" = size + 1 WHERE file_id = {file}', {"file-offset"}),
        ("UPDATE files SET facts = x'c1' WHERE facts IS NOT NULL", {"file-facts"}),
        ("UPDATE files SET facts = x'80' WHERE facts IS NOT NULL", {"file-facts"}),
        ("UPDATE files SET problems = '{{' WHERE problems IS NOT NULL", {"file-problems"}),
        ("INSERT INTO thread_edges SELECT a.home_id, a.thread_id, b.thread_id, 'open' FROM threads a, threads b"
         " WHERE a.home_id = b.home_id AND a.n IN (1, 2) AND b.n IN (1, 2) AND a.n <> b.n", {"thread-spawn-circle"}),
        ("UPDATE tool_lists SET tools = '{{'", {"tool-list-unreadable"}),
        ("UPDATE tool_lists SET tools = '[]'", {"tool-list-unreadable"}),
        ("DELETE FROM thread_tools", {"tool-list-unused"}),
        ("UPDATE thread_tools SET said_list_id = NULL", {"tool-list-missing", "tool-list-unused"}),
    ],
)  # fmt: skip
def test_what_was_damaged_is_found_and_nothing_else(varied, damage, codes):
    look = "SELECT n, file_id AS file FROM threads WHERE name_said IS NULL AND archived_file = 1"
    with pytest.raises(Undo), varied.write() as tx:
        assert findings(tx) == []
        one = tx.row(statement(look))
        fork = tx.row(statement("SELECT n FROM threads WHERE base_thread_id IS NOT NULL"))
        assert tx.run(statement(damage.format(one=one["n"], file=one["file"], fork=fork["n"]))) > 0

        found = findings(tx)

        assert {finding.code for finding in found} == codes
        assert all(finding.subject and finding.measured and finding.expected and finding.remedy for finding in found)
        raise Undo


def test_a_reindex_mends_what_the_probes_find(varied):
    """The remedy that most findings name is one."""
    damages = [
        "UPDATE files SET facts = x'c1' WHERE facts IS NOT NULL",
        "UPDATE files SET problems = '{' WHERE problems IS NOT NULL",
        "UPDATE files SET \"offset\" = size + 1 WHERE status = 'ok' AND zst = 0",
        "UPDATE files SET status = 'splendid' WHERE status = 'duplicate'",
        "UPDATE threads SET cwd_id = 999999 WHERE missing_since_ms IS NULL",
        "UPDATE threads SET preview = 'its own', first_user_ordinal = 7 WHERE base_thread_id IS NOT NULL",
        "UPDATE threads SET missing_since_ms = 1 WHERE archived_file = 1",
        "UPDATE threads SET file_id = (SELECT min(file_id) FROM files) WHERE n = (SELECT max(n) FROM threads)",
    ]
    with varied.write() as tx:
        for damage in damages:
            assert tx.run(statement(damage)) > 0
    with varied.read() as tx:
        assert len({finding.code for finding in findings(tx)}) >= 8

    varied.index(full=True)

    with varied.read() as tx:
        assert findings(tx) == []


def test_facts_that_cannot_be_read_cost_a_second_reading_and_no_more(make_home, open_state):
    home = make_home()
    id = home.thread("long " * (RESUME_BYTES_MIN // 4))
    state = open_state(home)
    with state.write() as tx:
        assert tx.run(statement("UPDATE files SET facts = x'c1' WHERE facts IS NOT NULL")) == 1
    home.append(id, "more", ms=NOON_MS + 70_000)

    state.index()

    assert state.threads.get(id).updated_at_ms == NOON_MS + 70_000


def test_problems_that_cannot_be_read_do_not_keep_a_state_from_opening(varied, open_state):
    with varied.write() as tx:
        assert tx.run(statement("UPDATE files SET problems = '{' WHERE problems IS NOT NULL")) > 0

    (report, _) = varied.index()

    assert [problem.code for problem in report.problems if problem.path] == ["duplicate", "ok", "ok"]
    varied.index(full=True)


def test_probes_find_nothing_in_recorded_homes_before_and_after_everything(home, open_state):
    state = open_state(home)
    for _ in range(2):
        with state.read() as tx:
            assert thread_probes(tx) == []
            assert ingest_probes(tx) == []
            assert all(isinstance(finding, Finding) for finding in findings(tx))
        id = next(iter(state.threads.list())).id
        state.threads.rename(id, "x")
        state.threads.archive(id)
        state.index(full=True)


def test_while_a_first_index_runs_a_fork_that_waits_for_its_base_is_no_finding(make_home, open_state):
    home = make_home()
    origin = home.thread("how it began", paginated=True)
    home.thread("a fork", paginated=True, base=(origin, 3))
    for _ in range(70):
        home.thread("others", created_ms=NOON_MS - 60_000)
    seen = []

    def look(progress):
        with home.state.read() as tx:
            seen.append([finding.code for finding in findings(tx)])

    home.state = open_state(make_home("empty"))
    open_state(home, on_progress=look)
    assert len(seen) >= 2
    assert all(codes == [] for codes in seen)
