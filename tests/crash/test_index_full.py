"""A disk that fills up under the index: told as such, nothing lost that was in, and the next one goes on."""

from __future__ import annotations

import subprocess

import pytest

import holdfast
from holdfast import Full
from holdfast.ingest import reading
from holdfast.threads import store
from index_helpers import expected_labels, index_of, indexed_alone, labels, thread_id

COUNT = 1_500


def open_home(home, state_dir, **options):
    return holdfast.open(home, state_dir=state_dir, search=False, **options)


class Disk:
    """A small disk of its own (tmpfs(5)), where one may be mounted."""

    def __init__(self, path, kib):
        path.mkdir()
        self.path = path
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", path], capture_output=True)
        self.mounted = done.returncode == 0

    def enlarge(self):
        subprocess.run(["mount", "-o", "remount,size=64m", self.path], check=True)

    def end(self):
        if self.mounted and subprocess.run(["umount", self.path]).returncode:
            subprocess.run(["umount", "--lazy", self.path], check=True)
            raise AssertionError(f"something on {self.path} was left open")


@pytest.fixture
def disk(tmp_path):
    made = []

    def disk(kib):
        made.append(Disk(tmp_path / "disk", kib))
        if not made[-1].mounted:
            pytest.skip("no disk may be mounted here; the limit on the size of files, below, is much the same")
        return made[-1]

    yield disk
    for each in made:
        each.end()


@pytest.fixture
def many(homes):
    return homes.make(COUNT)


@pytest.mark.parametrize("kib", [450, 1_024])
def test_on_a_full_disk_what_is_in_stays_and_is_read_and_the_next_index_goes_on(kib, many, disk, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_BATCH", 200)
    small = disk(kib)
    told = []

    with pytest.raises(Full) as full:
        open_home(many, small.path, on_progress=told.append)
    assert "Make room" in full.value.remedy

    with holdfast.peek(many, state_dir=small.path) as state:
        page = state.threads.list(limit=50)
        assert len(page) == 50
        assert not page.complete
    with open_home(many, small.path, wait=False) as state:
        with state.read() as tx:
            kept = store.counts(tx, 1)["threads"]
        assert kept >= told[-1].files_done
        with pytest.raises(Full):
            state.wait_for_index()
        for n in range(0, COUNT, 100):
            assert state.threads.get(thread_id(n)).id == thread_id(n)  # from the files, where it must be
        with pytest.raises(Full):
            for n in range(2_000):
                state.threads.rename(thread_id(COUNT - 1), f"{n} " + "x" * 400)

    small.enlarge()
    with open_home(many, small.path, wait_ms=0) as state:
        (report,) = state.reports
        assert (report.complete, report.threads) == (True, COUNT)
        assert report.unchanged >= kept
        assert labels(state)[1:] == expected_labels(COUNT)[1:]
        state.threads.rename(thread_id(COUNT - 1), "")
    threads, files = index_of(small.path)
    for row in threads.values():
        row["name_said"] = None
    assert (threads, files) == indexed_alone(many, tmp_path / "alone")


def test_a_full_disk_at_the_very_first_step_is_told_as_such(many, disk):
    small = disk(24)

    with pytest.raises(Full):
        open_home(many, small.path)

    small.enlarge()
    with open_home(many, small.path) as state:
        assert state.reports[0].threads == COUNT


def test_a_limit_on_the_size_of_files_is_told_as_full_and_the_next_index_goes_on(many, state_dir, child):
    # setrlimit(2): a write beyond it fails with EFBIG, as one beyond a quota does with EDQUOT.
    limited = child(
        """
import resource
reading._BATCH = 200
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (450_000, resource.RLIM_INFINITY))
try:
    open_home()
except holdfast.Full as error:
    say(type(error).__name__, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with open_home(wait_ms=0) as state:
    report = state.reports[0]
    say(report.complete, report.threads, report.unchanged > 0)
""",
        many,
        state_dir,
    )

    assert limited.line().startswith("Full ")
    assert limited.line() == f"True {COUNT} True"
    assert index_of(state_dir) == indexed_alone(many, state_dir.with_name("alone"))
