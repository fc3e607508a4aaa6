import pytest

from holdfast import clock
from holdfast.clock import Anchor


@pytest.fixture
def machine(monkeypatch):
    """Hold the two clocks of a machine in hand."""

    class Machine:
        wall, boot = 1_000_000, 500

    monkeypatch.setattr(clock, "wall_ms", lambda: Machine.wall)
    monkeypatch.setattr(clock, "boot_ms", lambda: Machine.boot)
    return Machine


def test_time_goes_on_with_the_boot_clock(machine):
    anchor = clock.anchor()
    machine.boot += 250
    assert anchor.now_ms() == 1_000_250


@pytest.mark.parametrize("jump_ms", [-86_400_000, 86_400_000])
def test_a_wall_clock_that_is_set_moves_nothing(machine, jump_ms):
    anchor = clock.anchor()
    machine.wall += jump_ms
    machine.boot += 1
    assert anchor.now_ms() == 1_000_001


def test_an_anchor_is_never_before_what_was_already_seen(machine):
    assert clock.anchor(not_before_ms=2_000_000).now_ms() == 2_000_000
    assert clock.anchor(not_before_ms=5).now_ms() == machine.wall


def test_two_readers_of_one_anchor_see_one_time(machine):
    first = clock.anchor()
    second = Anchor(first.boot_id, first.wall_ms, first.boot_ms)
    machine.boot += 7
    assert first.now_ms() == second.now_ms()


def test_the_boot_clock_goes_forward_and_the_boot_keeps_its_id():
    first = clock.boot_ms()
    assert first >= 0
    assert clock.boot_ms() >= first
    assert clock.boot_id() == clock.boot_id() != ""
