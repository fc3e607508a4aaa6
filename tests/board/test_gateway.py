"""K10 and K11: a gateway and eight workers on one board, each call of theirs compared with the tables at the end."""

import secrets

import pytest
from crowd import WORKERS, Crowd


def played(crowd, **how):
    """Play, and return what is wrong: also when too little happened for anything to be shown."""
    crowd.play(**how)
    wrong = crowd.complaints()
    return wrong or [f"only {crowd.done()} completions"] * (crowd.done() < 5 * WORKERS)


def test_a_gateway_and_eight_workers_do_each_task_once_beside_a_careless_neighbour(crowd, url):
    """K11, and K10: who is told that a call failed finds the board as it was."""
    assert played(crowd, **({"seconds": 1.5} if url else {"seconds": 5, "shifts": 2})) == []


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgres", marks=pytest.mark.torture)], indirect=True)
def test_workers_and_the_gateway_are_killed_at_any_moment_and_nothing_is_lost_or_done_twice(crowd):
    assert played(crowd, seconds=1.5, kills=4, roles=("worker", "worker", "gateway")) == []


@pytest.mark.parametrize("kind", ["racy", "careless"])
def test_boards_that_look_before_they_claim_or_guard_nothing_are_found_out(tmp_path, kind):
    """The control of the two above: the same processes, the same checker."""
    naive = Crowd(tmp_path, kind)
    naive.play(0.8, shifts=2)
    wrong = naive.complaints()
    assert any(sentence.startswith("double" if kind == "racy" else "lost") for sentence in wrong)


@pytest.mark.torture
@pytest.mark.parametrize("run", range(10))
def test_ten_times_twenty_seconds(crowd, run):
    assert played(crowd, seconds=20, shifts=4) == []


@pytest.mark.torture
def test_a_minute_of_a_kill_every_second(tmp_path, url):
    seed = secrets.randbelow(1 << 30)
    print(f"seed {seed}")
    crowd = Crowd(tmp_path, url=url, seed=seed)
    assert played(crowd, seconds=60, kills=60, roles=("worker", "worker", "gateway")) == []
