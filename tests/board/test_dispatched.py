"""K11 with dispatchers: they and their workers are killed, and each task is done once, by one process at a time."""

import secrets

import pytest
from dispatched import Dispatched

from engines import open_engine
from rows import findings


@pytest.fixture
def dispatched(tmp_path, url):
    seed = secrets.randbelow(1 << 30)
    print(f"seed {seed}")
    gathered = Dispatched(tmp_path, url, seed)
    yield gathered
    with open_engine(gathered.database) as engine, engine.read() as tx:
        assert findings(tx) == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_dispatchers_and_workers_are_killed_and_each_task_is_done_once_by_one_at_a_time(dispatched):
    dispatched.play(tasks=12, kills=4, every_s=0.4)
    assert dispatched.complaints() == []
    assert dispatched.dispatchers_killed == 2


THINKS_THE_LIVING_DEAD = """
from holdfast.board import rules
from holdfast.board.dispatching import crew, tending
rules.backoff_ms = lambda *_: 0
wrong = [True] * 6
crew.Crew.is_dead = lambda *_: bool(wrong) and wrong.pop()
crew.Crew._is_at_work = lambda *_: False
tending.Tended.look = lambda *_, **__: None
"""


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_dispatcher_that_thinks_the_living_dead_is_found_out(tmp_path, url):
    broken = Dispatched(tmp_path, url, first=THINKS_THE_LIVING_DEAD)
    broken.play(tasks=4, kills=0, every_s=0)
    assert any(each.startswith("double: ") for each in broken.complaints()), broken.complaints()


@pytest.mark.torture
def test_a_minute_of_a_dispatcher_or_a_worker_killed_every_second(dispatched):
    dispatched.play(tasks=400, kills=60, every_s=1.0)
    assert dispatched.complaints() == []
    assert len(dispatched.killed) > 10
