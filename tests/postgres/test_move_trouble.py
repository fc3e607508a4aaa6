"""A move that is interrupted, or loses its server: the source counts, and the move ends when run again."""

from __future__ import annotations

import signal

import pytest

import holdfast
from holdfast import jobs
from holdfast.errors import Busy
from processes import children

KEYS = [str(number) for number in range(50)]

# The command line itself; it pauses where a person is to press Ctrl-C.
MOVES = """
import holdfast
from holdfast.cli import main
real = holdfast.move
def paused(*args, on_progress, **words):
    def at(progress):
        if on_progress: on_progress(progress)
        if progress.step == sys.argv[1]:
            say(progress.step)
            hear()
    return real(*args, on_progress=at, **words)
holdfast.move = paused
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def source(tmp_path):
    with holdfast.open([], state_dir=tmp_path / "source", search=False) as state, state.write() as tx:
        for key in KEYS:
            jobs.enqueue(tx, "k", key)
    return tmp_path / "source"


def keys(place, tmp_path):
    """Return the jobs of a state: it can be opened."""
    where = {"state": place, "state_dir": tmp_path / "beside"} if isinstance(place, str) else {"state_dir": place}
    with holdfast.open([], **where, search=False) as state:
        return sorted((job.key for job in state.jobs.list(limit=100)), key=int)


@pytest.mark.parametrize("step", ["copying", "complete", "left"])
def test_a_move_that_was_interrupted_says_to_run_it_again_and_that_ends_it(source, schema_url, tmp_path, step):
    words = ["move", "--from", source, "--to", schema_url]
    with children("") as start:
        moving = start(MOVES, step, *words, stderr=-1)
        assert moving.line() == step
        moving.process.send_signal(signal.SIGINT)
        said = moving.process.stderr.read()
        assert moving.wait() == 130
        moving.process.stderr.close()
        assert "Traceback" not in said
        assert "run it again" in said.lower()
        if step == "left":
            with pytest.raises(holdfast.Refused, match="was moved to"):
                keys(source, tmp_path)
        else:
            assert keys(source, tmp_path) == KEYS
        again = start(MOVES, "", *words)
        said = again.lines()
        assert again.wait() == 0
    assert "A move that was cut short was brought to its end" in said
    assert any("memory/" in line for line in said)
    assert keys(schema_url, tmp_path) == KEYS


def restarting(server, mode="fast"):
    def stop(progress):
        if progress.step == "copying":
            server.stop(mode)
            server.start()

    return stop


def test_a_target_that_is_restarted_between_two_pages_is_written_on(source, own_server, tmp_path):
    url = own_server.url("team")
    holdfast.move(url, source=source, on_progress=restarting(own_server))
    assert keys(url, tmp_path) == KEYS


def test_a_target_that_goes_away_costs_the_move_and_nothing_else(source, own_server, tmp_path, monkeypatch):
    url = own_server.url("team")
    monkeypatch.setattr("holdfast.state.moving._WAIT_MS", 200)

    def stop(progress):
        if progress.step == "copying":
            own_server.stop()

    with pytest.raises(Busy, match=r"waited \d+ ms") as told:
        holdfast.move(url, source=source, on_progress=stop)
    assert "Try again" in told.value.remedy
    assert keys(source, tmp_path) == KEYS
    own_server.start()
    assert holdfast.move(url, source=source).resumed
    assert keys(url, tmp_path) == KEYS


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_source_that_is_restarted_in_the_middle_costs_the_move_and_nothing_else(source, own_server, tmp_path, mode):
    url, back = own_server.url("team"), tmp_path / "back"
    holdfast.move(url, source=source)
    with pytest.raises(Busy, match="move_page"):
        holdfast.move(back, source=url, on_progress=restarting(own_server, mode))
    assert keys(url, tmp_path) == KEYS
    assert holdfast.move(back, source=url).resumed
    assert keys(back, tmp_path) == KEYS


def test_a_move_goes_through_a_pooler_and_back(source, server, between, schema_url, tmp_path):
    between.is_pooler = True
    url = schema_url.replace(str(server.folder), str(between.folder))
    holdfast.move(url, source=source)
    assert keys(schema_url, tmp_path) == KEYS
    holdfast.move(tmp_path / "back", source=url)
    assert keys(tmp_path / "back", tmp_path) == KEYS
