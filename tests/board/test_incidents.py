"""What other boards died of: completions by processes that come and go, ticks, and no descriptor left."""

import pytest

from engines import open_engine
from holdfast import board

GATEWAY = """
board = players.Ours(FOLDER, "gateway", URL)
def careless():
    if board.database:
        open(board.database, "rb").close()
say("ready")
while True:
    match hear().split():
        case ["create", title]:
            say(board.create(title, []))
        case ["tick"]:
            careless()
            say(board.tick())
        case ["sweep"]:
            careless()
            swept = board.state.board.sweep()
            say(swept.crashed, swept.expired)
        case ["statuses"]:
            careless()
            say(json.dumps(board.state.board.stats().counts))
"""

# Claims one task for review and completes it, or claims one and is silent for longer than its lease.
VERIFIER = """
board = players.Ours(FOLDER, "verifier", URL)
found = board.state.board.claim_next("default", board._me, stages=("review",), lease_ms=60_000)
board.state.board.done(found.task.task_id, fence=found.fence, verdict="pass", summary="looked at")
say("done", found.task.task_id)
"""
WORKER = """
board = players.Ours(FOLDER, "worker", URL)
found = board.state.board.claim_next("default", board._me, lease_ms=int(ARGS[0]))
if ARGS[1] == "review":
    board.state.board.review(found.task.task_id, fence=found.fence, summary="please look")
say("has", found.task.task_id)
hear()
"""


def test_four_verifiers_complete_and_leave_then_a_silent_claim_is_released_and_every_tick_works(start):
    """#31158: after three or four workers had ended, every tick of the gateway was a disk I/O error."""
    gateway = start(GATEWAY)
    assert gateway.line() == "ready"

    def asks(what):
        gateway.tell(what)
        return gateway.line()

    for number in range(5):
        asks(f"create {number}")
    for number in range(4):
        worker = start(WORKER, 60_000, "review")
        assert worker.line().startswith("has")
        worker.end()
        assert start(VERIFIER).lines()[-1].startswith("done")
        assert asks("tick") == str(4 - number)
    silent = start(WORKER, 50, "work")
    assert silent.line().startswith("has")
    silent.stop()  # alive, and silent: only its lease ends it
    for _ in range(10_000):
        if (swept := asks("sweep")) != "0 0":
            break
    assert swept == "0 1"
    statuses = asks("statuses")
    assert '"done": 4' in statuses
    assert '"running": 0' in statuses
    silent.go_on()


TICKS = """
gc.disable()
board = players.Ours(FOLDER, "gateway", URL)
for number in range(20):
    board.create(str(number), [])
board.tick()
before, most = descriptors(), 0
for number in range(200 if URL else 1_000):
    if ARGS[0] == "never closed":
        import sqlite3
        with sqlite3.connect(FOLDER + "/naive.db") as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    else:
        board.tick()
        if number % 50 == 0:
            board.done(*board.claim())
    most = max(most, descriptors())
    if most > before + 200: break
say(most - before)
"""


def test_a_thousand_ticks_open_no_descriptor(start):
    """K1, on the board; the garbage collector is off."""
    assert start(TICKS, "ours").line() == "0"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_ticks_that_connect_and_never_close_are_seen_by_this_count(start):
    """The control of the one above."""
    assert int(start(TICKS, "never closed").line()) > 200


NO_DESCRIPTORS = """
board = players.Ours(FOLDER, "worker", URL)
for number in range(3):
    board.create(str(number), [])
board.done(*board.claim())
board.tick()
taken = take_all()
try:
    claimed = board.claim()
    board.done(*claimed)
    ready = board.tick()
finally:
    for fd in taken: os.close(fd)
say(claimed[0], ready, board.state.board.stats().counts["done"])
"""


def test_without_a_free_descriptor_tasks_are_claimed_completed_and_looked_at(start):
    assert start(NO_DESCRIPTORS).line() == "2 1 2"


CREATOR = """
board = players.Ours(FOLDER, "creator", URL)
say("ready")
hear()
made = board.state.board.create("by " + ARGS[0], request="the same", created_by=ARGS[0])
say(type(made).__name__, made.task.task_id)
"""


def test_four_who_create_under_one_key_behind_a_writer_get_one_task(start, tmp_path, url):
    """K13: a look at the key before the transaction begins would find nothing, four times."""
    creators = [start(CREATOR, number) for number in range(4)]
    for creator in creators:
        assert creator.line() == "ready"
    with open_engine(url or str(tmp_path / "state" / "state.db")) as engine:
        with engine.write() as tx:
            board.create(tx, "another")
            for creator in creators:
                creator.tell()
        said = sorted(creator.line() for creator in creators)
        with engine.read() as tx:
            tasks = board.listing(tx, "default").tasks
    made = next(task.task_id for task in tasks if task.title.startswith("by"))
    assert said == [f"Created {made}"] + [f"Known {made}"] * 3
    assert len(tasks) == 2
