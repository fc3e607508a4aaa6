"""The process that indexes a home dies, at any moment: the next one goes on at once, and the rows are the same."""

from __future__ import annotations

import os
import random
import shutil
import signal

import apsw
import pytest

import holdfast
from holdfast import holds
from holdfast.state import said
from index_helpers import (
    Homes,
    conversation,
    event,
    index_of,
    indexed_alone,
    make_home,
    path_of,
    put,
    start,
    text,
    thread_id,
)

MANY, FEW = 3_000, 400

# More batches than in life, so that there is more in between.
INDEX = """
reading._BATCH = int(sys.argv[3])
def tell(progress):
    say(progress.files_done)
with open_home(on_progress=tell) as state:
    say("done")
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A home, and what an index of it holds that nobody disturbed. Large enough that workers read it."""
    yield from _kept(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    yield from _kept(tmp_path_factory.mktemp("few"), FEW)


def _kept(folder, count):
    home = make_home(folder / "home", count)
    homes = Homes(folder)
    homes.watch(home)
    yield home, indexed_alone(home, folder / "alone")
    homes.check()


def finish(home, state_dir):
    """Do what the next open does: not one moment is waited for the dead."""
    with holdfast.open(home, state_dir=state_dir, search=False, wait_ms=0) as state:
        (report,) = state.reports
        assert report.complete
        assert [hold for hold in state.holds() if not holds.is_dead(hold.owner)] == []
    return report


def spin(turns):
    for _ in range(turns):
        pass


def kill_somewhere(chosen, home, state_dir, batch, *, lines_max):
    """Start an index, kill it a random moment after a random line, and return how many files it had told of."""
    indexer = start(INDEX, home, state_dir, str(batch))
    try:
        told = 0
        for _ in range(chosen.randrange(lines_max)):
            line = indexer.line()
            if not line.isdigit():
                break
            told = int(line)
        spin(chosen.randrange(400_000))
        indexer.kill()
    finally:
        indexer.end()
    return told


# At a random moment


def kill_and_finish(chosen, many, state_dir):
    home, undisturbed = many
    shutil.rmtree(state_dir, ignore_errors=True)
    told = kill_somewhere(chosen, home, state_dir, batch=200, lines_max=17)
    report = finish(home, state_dir)
    assert report.indexed <= MANY - told  # what was told of is not read again
    assert index_of(state_dir) == undisturbed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_killed_indexer_left_is_finished_by_the_next(seed, many, state_dir):
    kill_and_finish(random.Random(seed), many, state_dir)


@pytest.mark.torture
def test_what_a_killed_indexer_left_is_finished_by_the_next_fifty_times(many, state_dir):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    for _ in range(50):
        kill_and_finish(chosen, many, state_dir)


def test_killed_again_and_again_an_index_still_gets_on(many, state_dir):
    home, undisturbed = many
    chosen = random.Random(4)
    done = 0
    for _ in range(3):
        done += kill_somewhere(chosen, home, state_dir, batch=100, lines_max=6)
        if done:
            connection = apsw.Connection(f"{state_dir}/state.db", flags=apsw.SQLITE_OPEN_READWRITE)
            ((files,),) = connection.execute("SELECT count(*) FROM files")
            connection.close()
            assert files >= done

    assert finish(home, state_dir).indexed <= MANY - done
    assert index_of(state_dir) == undisturbed


# At a chosen moment

AT = {
    "before the shape is made": """
from holdfast import schema
migrate = schema.migrate
def paused(*args): pause("here"); return migrate(*args)
schema.migrate = paused
""",
    "while the shape is made": """
from holdfast.sqlite import Writing
script = Writing.script
def paused(self, text): script(self, text); pause("here")
Writing.script = paused
""",
    "when the hold was taken": """
run = indexing.Indexing.run
def paused(self, survey): pause("here"); return run(self, survey)
indexing.Indexing.run = paused
""",
    "before the first batch": """
flush = indexing.Indexing._flush
def paused(self, *args): pause("here"); return flush(self, *args)
indexing.Indexing._flush = paused
""",
    "in the middle of the first batch": """
from holdfast.ingest.speakers import Speakers
elect = Speakers.elect
def paused(self, *args): found = elect(self, *args); pause("here"); return found
Speakers.elect = paused
""",
    "at the end of the third batch": """
from holdfast.ingest import ledger
put, seen = ledger.put, []
def paused(*args):
    put(*args)
    seen.append(1)
    if len(seen) == 3: pause("here")
ledger.put = paused
""",
    "between two batches": """
def tell(progress):
    if progress.files_done == 164: pause("here")
""",
    "before the end": """
finish = indexing.Indexing._finish
def paused(self, *args, **more): pause("here"); return finish(self, *args, **more)
indexing.Indexing._finish = paused
""",
    "in the middle of the end": """
from holdfast.threads import homes
set_indexed = homes.set_indexed
def paused(*args, **more): set_indexed(*args, **more); pause("here")
homes.set_indexed = paused
""",
    "when all is done but the hold": """
run = indexing.Indexing.run
def paused(self, survey): report = run(self, survey); pause("here"); return report
indexing.Indexing.run = paused
""",
}


@pytest.mark.parametrize("moment", AT)
def test_an_indexer_killed_at(moment, few, state_dir, child):
    home, undisturbed = few
    code = "reading._BATCH = 100\ntell = None\n" + AT[moment] + "open_home(on_progress=tell)\nsay('done')\n"
    indexer = child(code, home, state_dir)
    assert indexer.line() == "here"
    indexer.kill()

    finish(home, state_dir)

    assert index_of(state_dir) == undisturbed


def test_a_process_that_waited_goes_on_when_the_indexer_is_killed(few, state_dir, child):
    home, undisturbed = few
    indexer = child(AT["before the first batch"] + "open_home()", home, state_dir)
    assert indexer.line() == "here"
    waiter = child(
        "def tell(progress, told=[]):\n"
        "    if progress.by and not told:\n"
        "        told.append(1)\n"
        "        say('waits')\n"
        "with open_home(on_progress=tell) as state:\n"
        "    say(state.reports[0].indexed)\n",
        home,
        state_dir,
    )
    assert waiter.line() == "waits"
    indexer.kill()

    assert waiter.line() == str(FEW)
    assert waiter.wait() == 0
    assert index_of(state_dir) == undisturbed


# The second index of a home: files that grew, vanished, moved, and copies that come to speak


def changed_home(folder):
    """Return a home, indexed and then changed: what the next index has to do has every kind of step."""
    home = make_home(folder / "home", FEW)
    for n in range(0, 100, 5):  # "0-copies" comes before "2025": the originals speak
        put(home, f"sessions/0-copies/{os.path.basename(path_of(n))}", (home / path_of(n)).read_bytes())
    state_dir = folder / "state"
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        for n in range(0, FEW, 7):
            state.threads.rename(thread_id(n), f"said {n}")
    for n in range(FEW):
        file = home / path_of(n)
        if n < 100 and n % 10 == 0:  # of these there is a copy
            file.unlink()
        elif n < 100 and n % 10 == 5:  # and of these one that now says more
            file.write_bytes(text(conversation(n)[:2]))
        elif n % 5 == 1:
            more = event(n, 60, type="token_count", info={"total_token_usage": {"total_tokens": n}})
            file.write_bytes(file.read_bytes() + text([more]))
        elif n % 5 == 2 and n % 10 != 9:
            os.rename(file, home / "archived_sessions" / file.name)
        elif n % 50 == 3:
            file.unlink()  # of these there is none
        elif n % 50 == 4:
            file.write_bytes(text(conversation(n + 10_000)))  # another thread by now
    for n in range(FEW, FEW + 100):
        put(home, path_of(n), text(conversation(n)))
    put(home, "session_index.jsonl", text([{"id": thread_id(n), "thread_name": f"new {n}"} for n in range(0, FEW, 9)]))
    return home, state_dir


def check_changed(home, state_dir):
    """Compare with a first index of the same home: only what was said, and what is missing, may differ."""
    threads, files = index_of(state_dir)
    alone_threads, alone_files = indexed_alone(home, state_dir.with_name("alone"))
    said_of = {f"{home}#{bytes.fromhex(thread_id(n).replace('-', '')).hex()}": f"said {n}" for n in range(0, FEW, 7)}
    assert {key: row["name_said"] for key, row in threads.items() if row["name_said"] is not None} == said_of
    for row in threads.values():
        row["name_said"] = None
    assert {key: row for key, row in threads.items() if row["missing_since_ms"] is None} == alone_threads
    assert {key: row for key, row in files.items() if row["status"] != "gone"} == alone_files


def test_an_index_of_a_changed_home_comes_to_the_same_as_a_first_one(tmp_path):
    home, state_dir = changed_home(tmp_path)

    finish(home, state_dir)

    check_changed(home, state_dir)


STEPS = {
    "at its first batch": ("ledger.put", "len(seen) == 1"),
    "at its third batch": ("ledger.put", "len(seen) == 3"),
    "when files are let go": ("ledger.forget_gone", "True"),
    "before the first copy comes to speak": ("indexing.Indexing._adopt", "args[1]"),
    "when files were let go and copies do not speak yet": ("indexing.Indexing._adopt", "args[1] and let_go"),
    "before a copy that says more speaks": (
        "indexing.Indexing._adopt",
        f"bytes.fromhex('{thread_id(5).replace('-', '')}') in args[1]",
    ),
    "before its end": ("indexing.Indexing._finish", "True"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_second_index_killed(step, tmp_path, child):
    home, state_dir = changed_home(tmp_path)
    function, when = STEPS[step]
    owner, _, name = function.rpartition(".")
    indexer = child(
        f"""
from holdfast.ingest import ledger
reading._FIRST_BATCH, reading._BATCH = 40, 60
forget, let_go = ledger.forget_gone, []
def forgetting(*args):
    let_go.append(1)
    return forget(*args)
ledger.forget_gone = forgetting
real, seen = {owner}.{name}, []
def paused(*args, **more):
    seen.append(1)
    if {when}: pause("here")
    return real(*args, **more)
{owner}.{name} = paused
open_home()
say("done")
""",
        home,
        state_dir,
    )
    assert indexer.line() == "here"
    indexer.kill()

    finish(home, state_dir)

    check_changed(home, state_dir)


def kill_the_second(chosen, home, template, state_dir):
    shutil.rmtree(state_dir, ignore_errors=True)
    shutil.copytree(template, state_dir)
    kill_somewhere(chosen, home, state_dir, batch=30, lines_max=14)
    finish(home, state_dir)
    check_changed(home, state_dir)


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.torture)])
def test_a_second_index_killed_at_random(rounds, tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    home, template = changed_home(tmp_path)
    for _ in range(rounds):
        kill_the_second(chosen, home, template, tmp_path / "killed")


# What was said

SAY = """
with open_home() as state:
    threads = [thread.id for thread in state.threads.list(limit=20, sort="created", direction="asc", archived=None)]
    say("ready")
    n = 0
    while True:
        n += 1
        thread = threads[n % 20]
        state.threads.rename(thread, f"said {n}")
        say(thread, "name", n)
        (state.threads.archive if n // 20 % 2 == 0 else state.threads.unarchive)(thread)
        say(thread, "archived", n // 20 % 2 == 0)
"""


def check_said(home, state_dir, lines):
    """Compare what was acknowledged with what is there; of the one call that was not, either outcome will do."""
    told = {}
    for line in lines:
        thread, kind, value = line.split()
        told[thread, kind] = value
    with holdfast.open(home, state_dir=state_dir, search=False, wait_ms=0) as state:
        late = 0
        for (thread, kind), value in told.items():
            found = state.threads.get(thread)
            if kind == "name":
                late += found.name != f"said {value}"
                assert int(found.name.split()[1]) >= int(value)
            else:
                late += found.archived is not (value == "True")
        assert late <= 1


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.torture)])
def test_a_name_or_an_archive_mark_that_was_acknowledged_survives_a_kill(rounds, homes, state_dir):
    home = homes.make(40)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    for _ in range(rounds):
        speaker = start(SAY, home, state_dir)
        try:
            assert speaker.line() == "ready"
            lines = [speaker.line() for _ in range(chosen.randrange(1, 200))]
            spin(chosen.randrange(40_000))
            speaker.kill()
            lines += speaker.lines()
        finally:
            speaker.end()
        check_said(home, state_dir, lines)
        kept = list(state_dir.glob("backups/said-*"))  # none yet, when it was killed soon
        if kept:  # a snapshot with its own name is whole
            assert said.newest(str(state_dir)) is not None
        assert len(kept) <= said.KEPT + 1  # killed before the oldest went


# Ctrl-C

INTERRUPTED = """
import glob
def children():
    found = []
    for path in glob.glob("/proc/self/task/*/children"):
        with open(path) as file: found += file.read().split()
    return found
"""


def workers_left(pids):
    """Return which of these processes still read rollouts for somebody."""
    left = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"scan_worker" in file.read():
                    left.append(pid)
        except OSError:
            continue
    return left


def test_ctrl_c_ends_an_index_with_its_workers_and_its_hold_and_the_next_goes_on(many, state_dir, child):
    home, undisturbed = many
    indexer = child(
        INTERRUPTED
        + """
def tell(progress):
    pause(f"workers {' '.join(children())}")
try:
    open_home(on_progress=tell)
except KeyboardInterrupt:
    pause(f"interrupted {' '.join(children())}")
say("ended")
""",
        home,
        state_dir,
    )
    workers = indexer.line().split()[1:]
    assert workers
    os.kill(indexer.pid, signal.SIGINT)

    assert indexer.line() == "interrupted"  # and no child is left
    assert workers_left(workers) == []
    finish(home, state_dir)  # while the process lives on: the hold was given up, not found dead
    indexer.tell()
    assert indexer.lines() == ["ended"]
    assert indexer.wait() == 0
    assert index_of(state_dir) == undisturbed


def test_ctrl_c_while_an_index_goes_on_in_the_background_ends_it_too(many, state_dir, child):
    home, undisturbed = many
    indexer = child(
        INTERRUPTED
        + """
reading._BATCH = 50
def tell(progress):
    say("told", progress.files_done, *children())
try:
    with open_home(wait=False, on_progress=tell) as state:
        signal.pause()
except KeyboardInterrupt:
    pass
pause(f"closed {' '.join(children())}")
""",
        home,
        state_dir,
    )
    told = indexer.line().split()
    os.kill(indexer.pid, signal.SIGINT)
    closed = next(line for line in iter(indexer.line, "") if line.startswith("closed"))

    assert told[0] == "told"
    assert closed == "closed"
    finish(home, state_dir)
    assert index_of(state_dir) == undisturbed


def interrupt_somewhere(chosen, many, state_dir):
    home, undisturbed = many
    shutil.rmtree(state_dir, ignore_errors=True)
    code = INTERRUPTED + (
        "reading._BATCH = 200\nsay('begun')\n"
        "try:\n    open_home(on_progress=lambda progress: say(progress.files_done)).close()\n"
        "except KeyboardInterrupt:\n    pass\n"
        "pause(f'over {len(children())}')\n"
    )
    indexer = start(code, home, state_dir)
    try:
        for _ in range(chosen.randrange(1, 17)):
            if indexer.line().startswith("over"):
                return
        spin(chosen.randrange(400_000))
        os.kill(indexer.pid, signal.SIGINT)
        over = next((line for line in iter(indexer.line, "") if line.startswith("over")), "")
        assert over in ("over 0", "")  # "" when it came after the `try`
        finish(home, state_dir)
        assert index_of(state_dir) == undisturbed
    finally:
        indexer.end()


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.torture)])
def test_ctrl_c_at_any_moment_leaves_no_hold_and_no_child(rounds, many, state_dir):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    for _ in range(rounds):
        interrupt_somewhere(chosen, many, state_dir)
