"""Where nothing is wrong, nothing is said: fifty homes and four recorded ones, idle and while they are written."""

from __future__ import annotations

import healthy
import pytest
from healthy_written import written

from holdfast.doctor.examining import examine
from holdfast.doctor.model import Status

LIMIT_MS = 120_000
"""For all of them together, on a slow machine: here it is to say all it has to say."""

LOOKS = 10


def said_of(homes, *, deep=False):
    """Return what is said of them. Of what there was no time for, on a busy machine, that is: at another look."""
    said, left = [], [str(home.path) for home in homes]
    for _ in range(LOOKS):
        report = examine(left, deep=deep, limit_ms=LIMIT_MS)
        assert len(report.targets) == len(left)
        said += [each for each in report.findings if each.status is not Status.PARTIAL]
        partly = {each.path for each in (*report.cut, *report.findings)}
        left = [path for path in left if any(each in ("", path) or each.startswith(f"{path}/") for each in partly)]
        if said or not left:
            return said
    raise AssertionError(report)


def test_nothing_is_said_of_a_home_with_nothing_wrong(healthy_homes):
    _, homes = healthy_homes
    assert said_of(homes) == []


def test_nothing_is_said_of_it_while_it_is_written(healthy_homes):
    _, homes = healthy_homes
    busy = [home for home in homes if home.writer]
    with written(busy):
        assert said_of(busy) == []


@pytest.mark.torture
def test_nothing_is_said_of_many_more_also_by_a_deep_look(tmp_path, capsys):
    for seed in range(5):
        with capsys.disabled():
            print(f"\nseed {healthy.SEED + seed}")
        homes = healthy.make(tmp_path / str(seed), healthy.SEED + seed)
        with written(homes):
            assert said_of(homes, deep=True) == []
            assert said_of(homes) == []
