from __future__ import annotations

import pytest
from watch_helpers import kernel_watches, open_descriptors

from holdfast.watch import Watcher


@pytest.fixture
def tree(tmp_path):
    """A directory to watch, with a state directory and a database in it."""
    root = tmp_path / "tree"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "state" / "logs").mkdir(parents=True)
    for name in ("state.db", "state.db-wal", "search.db"):
        (root / "state" / name).write_bytes(b"x")
    return root.resolve()


@pytest.fixture
def watch(tree):
    """Make a watcher whose state directory is in ``tree``; afterwards nothing is left of any."""
    before = open_descriptors()
    made = []

    def make(**options):
        made.append(Watcher(options.pop("state_dir", tree / "state"), **options))
        return made[-1]

    yield make
    for watcher in made:
        watcher.close()
    made.clear()
    assert kernel_watches() == []
    assert open_descriptors() == before


@pytest.fixture(params=["kernel", "polled"])
def either(request, watch):
    """A watcher that has the kernel tell it, and one that looks."""
    return watch() if request.param == "kernel" else watch(poll=True, poll_s=0.02)
