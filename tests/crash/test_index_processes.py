"""Several processes and one home: each file is folded once, everybody gets the whole, and nobody waits for ever."""

from __future__ import annotations

import json
import re

import pytest

import holdfast
from holdfast import Busy, holds
from holdfast.clock import boot_ms, wall_ms
from holdfast.ingest import gate
from holdfast.sqlite import Store
from index_helpers import expected_labels, index_of, indexed_alone, labels, thread_id

OPEN = """
say("ready")
hear()
with open_home(wait_ms=60_000) as state:
    report = state.reports[0]
    say(report.indexed, report.unchanged, report.threads, report.complete, len(state.threads.list(limit=1000).threads))
"""

# Stops at its first batch, its hold kept alive by its own thread, until it is told to go on.
HALF_WAY = """
def stop_once(progress, told=[]):
    if not told and progress.files_done < progress.files:
        told.append(True)
        pause(f"{progress.files_done} {progress.files}")
with open_home(on_progress=stop_once) as state:
    say("done", state.reports[0].indexed)
"""


def open_home(home, state_dir, **options):
    return holdfast.open(home, state_dir=state_dir, search=False, **options)


# Together


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_open_one_new_state_at_once_share_the_work_and_get_the_same(processes, homes, state_dir, child):
    home = homes.make(1_500)
    together = [child(OPEN, home, state_dir) for _ in range(processes)]
    assert [each.line() for each in together] == ["ready"] * processes
    for each in together:
        each.tell()

    answers = [each.line().split() for each in together]

    assert sum(int(answer[0]) for answer in answers) == 1_500  # each file was folded once
    assert all(int(answer[0]) in (0, 1_500) for answer in answers)
    assert {tuple(answer[2:]) for answer in answers} == {("1500", "True", "1000")}
    assert [each.wait() for each in together] == [0] * processes
    assert index_of(state_dir) == indexed_alone(home, state_dir.with_name("alone"))


def test_processes_with_different_homes_in_one_state_do_not_wait_for_each_other(homes, state_dir, child):
    one, other = homes.make(300, "one"), homes.make(200, "other")
    busy = child(HALF_WAY, one, state_dir)
    assert busy.line() == "64 300"

    with open_home(other, state_dir, wait_ms=0) as state:
        assert state.reports[0].threads == 200
    busy.tell()

    assert busy.line() == "done 300"


# Meanwhile


def test_meanwhile_others_get_pages_or_are_told_who_is_at_it(homes, state_dir, child):
    home = homes.make(300)
    indexer = child(HALF_WAY, home, state_dir)
    assert indexer.line() == "64 300"

    with open_home(home, state_dir, wait=False) as state:
        page = state.threads.list(limit=50)
        assert [thread.label for thread in page] == [
            label for n, label in zip(reversed(range(300)), expected_labels(300), strict=True) if n % 10 != 9
        ][:50]
        assert not page.complete
        assert labels(state) == expected_labels(300)  # from the files, as far as the index does not reach
        assert state.threads.get(thread_id(1)).title == "fix the parser of module 1"
        assert state.threads.find(thread_id(1)).verified
        with pytest.raises(Busy):
            state.wait_for_index(timeout_s=0)
    text = rf"timed out waiting for the index of {re.escape(str(home))} \(\d+ %, by pid {indexer.pid} "
    for wait_ms in (0, 120):
        with pytest.raises(Busy, match=text) as told:
            open_home(home, state_dir, wait_ms=wait_ms)
        assert "wait=False" in told.value.remedy
    with holdfast.peek(home, state_dir=state_dir) as state:
        assert labels(state) == expected_labels(300)
    indexer.tell()

    assert indexer.line() == "done 300"
    assert indexer.wait() == 0


def test_who_waits_hears_how_far_it_is_and_gets_everything_in_the_end(homes, state_dir, child):
    home = homes.make(300)
    indexer = child(HALF_WAY, home, state_dir)
    assert indexer.line() == "64 300"
    heard = []

    def on_progress(progress):
        if not heard:
            indexer.tell()
        heard.append(progress.by)

    with open_home(home, state_dir, on_progress=on_progress) as state:
        (report,) = state.reports
        assert (report.waited, report.indexed, report.threads) == (True, 0, 300)
        assert labels(state) == expected_labels(300)
    assert heard[0].startswith(f"pid {indexer.pid} ")


def test_a_name_can_be_given_while_another_process_indexes(homes, state_dir, child):
    home = homes.make(300)
    indexer = child(HALF_WAY, home, state_dir)
    assert indexer.line() == "64 300"

    with open_home(home, state_dir, wait=False) as state:
        assert state.threads.rename(thread_id(299), "of the newest").name == "of the newest"
    indexer.tell()

    assert indexer.line() == "done 300"
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(299)).name == "of the newest"


# Holds that somebody left


def leave_hold(home, state_dir, owner, *, renewed_ms, expires_ms):
    """Write the hold on the index of ``home`` as another process would have left it."""
    with open_home(home, state_dir) as state, state.write() as tx:
        held = holds.get(tx, gate.resource(state.homes[0]))
        assert held is not None
        text = json.dumps({**json.loads(holds.owner.dump(held.owner)), **owner})
        tx.script(
            f"UPDATE holds SET owner = '{text}', renewed_ms = {renewed_ms}, expires_ms = {expires_ms},"
            f" taken_ms = {renewed_ms}; UPDATE homes SET indexed_ms = NULL; DELETE FROM threads; DELETE FROM files"
        )


DEAD = {"pid": 4_194_303, "started": 1}  # above pid_max as shipped
ABROAD = {"host": "another-machine", "pid": 4711}
YEAR_MS = 365 * 86_400_000


def dead_child(child, home, state_dir):
    """Return the owner a process was that is certainly gone."""
    gone = child("import json; say(holds.owner.dump(holds.me('index-1')))", home, state_dir)
    owner = json.loads(gone.line())
    gone.wait()
    return owner


@pytest.mark.parametrize("ahead_ms", [0, YEAR_MS])
def test_a_hold_of_a_dead_process_is_taken_over_at_once_whatever_its_date(ahead_ms, homes, state_dir, child):
    home = homes.make(30)
    now_ms = wall_ms() + ahead_ms
    owner = dead_child(child, home, state_dir)
    leave_hold(home, state_dir, owner, renewed_ms=now_ms, expires_ms=now_ms + gate.LEASE_MS)

    with open_home(home, state_dir, wait_ms=0) as state:
        assert state.reports[0].indexed == 30


def test_a_hold_of_another_machine_is_waited_for_and_named(homes, tmp_path):
    home, state_dir = homes.make(30), tmp_path / "state"
    now_ms = wall_ms()
    leave_hold(home, state_dir, ABROAD, renewed_ms=now_ms, expires_ms=now_ms + gate.LEASE_MS)

    with pytest.raises(Busy, match=r"timed out waiting for the index of .* \(0 %, by pid 4711 on another-machine\)"):
        open_home(home, state_dir, wait_ms=0, clock=lambda: now_ms + 1)
    with open_home(home, state_dir, wait_ms=0, clock=lambda: now_ms + gate.LEASE_MS) as state:
        assert state.reports[0].indexed == 30


def test_a_hold_that_claims_to_last_a_year_binds_no_longer_than_any_other(homes, tmp_path):
    home, state_dir = homes.make(30), tmp_path / "state"
    now_ms = wall_ms()
    leave_hold(home, state_dir, ABROAD, renewed_ms=now_ms, expires_ms=now_ms + YEAR_MS)

    with pytest.raises(Busy, match="by pid 4711 on another-machine"):
        open_home(home, state_dir, wait_ms=0, clock=lambda: now_ms + gate.LEASE_MS - 1)
    with open_home(home, state_dir, wait_ms=0, clock=lambda: now_ms + gate.LEASE_MS) as state:
        assert state.reports[0].indexed == 30


def test_a_hold_renewed_in_the_future_shuts_nobody_out(homes, tmp_path):
    home, state_dir = homes.make(30), tmp_path / "state"
    ahead_ms = wall_ms() + YEAR_MS
    leave_hold(home, state_dir, ABROAD, renewed_ms=ahead_ms, expires_ms=ahead_ms + gate.LEASE_MS)

    with open_home(home, state_dir, wait_ms=0) as state:
        assert state.reports[0].indexed == 30


def test_an_indexer_that_lost_its_hold_writes_no_more_and_the_new_one_completes(homes, state_dir, child):
    home = homes.make(300)
    late = child(
        """
def stop_once(progress, told=[]):
    if not told:
        told.append(True)
        pause("half way")
try:
    open_home(on_progress=stop_once)
except holdfast.Stale as error:
    say("stale", error)
""",
        home,
        state_dir,
    )
    assert late.line() == "half way"
    with Store.open(state_dir / "state.db", clock=wall_ms) as store, store.write() as tx:
        tx.script("UPDATE holds SET renewed_ms = renewed_ms - 60000, expires_ms = expires_ms - 60000")

    with open_home(home, state_dir, wait_ms=0) as state:
        assert labels(state) == expected_labels(300)
        late.tell()
        assert late.line().startswith("stale ")
        assert labels(state) == expected_labels(300)
    assert index_of(state_dir) == indexed_alone(home, state_dir.with_name("alone"))


def test_a_wall_clock_that_jumps_moves_no_hold(homes, state_dir, child):
    home = homes.make(300)
    open_home(homes.make(1, "first"), state_dir).close()  # writes the anchor of this boot
    indexer = child(
        "import holdfast.clock\n"
        "holdfast.clock.wall_ms = lambda: 2_000_000_000_000\n"
        "import holdfast.state.opening\n"
        "holdfast.state.opening.wall_ms = holdfast.clock.wall_ms\n" + HALF_WAY,
        home,
        state_dir,
    )
    assert indexer.line() == "64 300"

    with Store.peek(state_dir / "state.db", clock=boot_ms) as store, store.read() as tx:
        (held,) = holds.listing(tx)
    assert held.expires_ms < wall_ms() + 2 * gate.LEASE_MS
    with pytest.raises(Busy, match=f"by pid {indexer.pid} "):
        open_home(home, state_dir, wait_ms=0)
    indexer.tell()
    assert indexer.line() == "done 300"


# Between a look and the hold


@pytest.mark.parametrize("recent", [False, True], ids=["look", "glance"])
def test_who_looked_before_another_indexed_a_new_file_looks_again(recent, homes, state_dir, monkeypatch):
    home = homes.make(3)
    with open_home(home, state_dir) as one, open_home(home, state_dir) as other:
        found = sorted(home.rglob("rollout-*"))[-1]
        text, new = found.read_text("utf-8"), thread_id(9_999)
        old = found.name.removesuffix(".jsonl")[-36:]
        copy = found.with_name(found.name.replace(old, new))
        copy.write_text(text.replace(old, new), "utf-8")
        homes.watch(home)
        name = "glance" if recent else "look"
        look = getattr(gate, name)

        def look_slowly(*args, **options):
            seen = look(*args, **options)
            monkeypatch.setattr(gate, name, look)
            one.index()
            return seen

        monkeypatch.setattr(gate, name, look_slowly)
        other.catch_up() if recent else other.index()

        assert other.threads.get(new).id == new
