"""Where nothing is wrong, nothing is said: fifty homes and four recorded ones, idle and while they are written."""

from __future__ import annotations

import healthy
import pytest
from healthy_written import written

from holdfast.doctor.examining import examine
from holdfast.doctor.model import Status

LIMIT_MS = 120_000
"""For all of them together, on a slow machine: here it is to say all it has to say."""


def said_of(homes, *, deep=False):
    report = examine([str(home.path) for home in homes], deep=deep, limit_ms=LIMIT_MS)
    assert len(report.targets) == len(homes)
    return report.overall, report.findings, report.cut


def test_nothing_is_said_of_a_home_with_nothing_wrong(healthy_homes):
    _, homes = healthy_homes
    assert said_of(homes) == (Status.OK, (), ())


def test_nothing_is_said_of_it_while_it_is_written(healthy_homes):
    _, homes = healthy_homes
    busy = [home for home in homes if home.writer]
    with written(busy):
        assert said_of(busy) == (Status.OK, (), ())


@pytest.mark.torture
def test_nothing_is_said_of_many_more_also_by_a_deep_look(tmp_path, capsys):
    for seed in range(5):
        with capsys.disabled():
            print(f"\nseed {healthy.SEED + seed}")
        homes = healthy.make(tmp_path / str(seed), healthy.SEED + seed)
        with written(homes):
            assert said_of(homes, deep=True) == (Status.OK, (), ())
            assert said_of(homes) == (Status.OK, (), ())
