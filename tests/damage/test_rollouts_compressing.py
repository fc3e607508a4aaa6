"""Cold rollouts made small: always exactly one readable thread, whoever writes, dies or presses Ctrl-C."""

from __future__ import annotations

import os
import random
import stat
import threading
from pathlib import Path

import msgspec
import pytest
from backports import zstd

from holdfast.rollouts import RolloutWriter, compress, compress_cold, scan, walk
from processes import children
from written import META, a_turn, says

PRELUDE = """
from holdfast.rollouts import RolloutWriter, compress, compress_cold, compressing, scan
"""


@pytest.fixture
def child():
    with children(PRELUDE) as start:
        yield start


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return str(path)


def thread(home, *, cold=True, turns=1):
    with RolloutWriter.create(home, META, sync="never") as writer:
        for _ in range(turns):
            writer.append(a_turn(writer))
    if cold:
        os.utime(writer.path, (1_000_000, 2_000_000))
    return Path(writer.path)


def relative(home, path):
    return os.path.relpath(path, home)


def facts(path):
    found = scan(str(path))
    assert (found.status, found.problems) == ("ok", [])
    return msgspec.structs.asdict(found.facts)


def test_a_cold_rollout_is_made_small_and_reads_as_before(home):
    path = thread(home, turns=20)
    path.chmod(0o640)
    text, before = path.read_bytes(), facts(path)

    done = compress(home, relative(home, path))

    packed = Path(f"{path}.zst")
    assert (done.outcome, done.bytes_before, done.bytes_after) == ("compressed", len(text), packed.stat().st_size)
    assert done.bytes_after < done.bytes_before / 4
    assert os.listdir(path.parent) == [packed.name]
    assert (stat.S_IMODE(packed.stat().st_mode), packed.stat().st_mtime) == (0o640, 2_000_000)
    assert zstd.decompress(packed.read_bytes()) == text
    assert facts(path) == before
    with RolloutWriter.resume(home, path) as writer:
        writer.append([says("more")])
    assert path.read_bytes().startswith(text)


def test_what_is_not_compressed_says_why_and_is_left_as_it_is(home):
    fresh, both, held, nobody, gone = (thread(home, cold=n > 0) for n in range(5))
    Path(f"{both}.zst").write_bytes(b"whatever")
    nobody.write_bytes(b"{half\n")
    os.utime(nobody, (1, 1))
    gone.unlink()
    paths = [fresh, both, held, nobody]
    before = [path.read_bytes() for path in paths]

    with RolloutWriter.resume(home, held):
        outcomes = [compress(home, relative(home, path)) for path in [*paths, gone]]

    assert [done.outcome for done in outcomes] == ["not-cold", "already", "busy", "failed", "changed"]
    assert f"pid {os.getpid()}" in outcomes[2].detail
    assert [path.read_bytes() for path in paths] == before
    assert compress(home, relative(home, fresh), cold_ms=0).outcome == "compressed"


def test_a_home_is_gone_through_with_progress_and_can_be_stopped(home):
    cold = [thread(home) for _ in range(3)]
    thread(home, cold=False)
    os.makedirs(f"{home}/archived_sessions")
    os.rename(cold[0], f"{home}/archived_sessions/{cold[0].name}")
    left = Path(f"{cold[1]}.zst.holdfast.tmp")
    left.write_bytes(b"half")
    stop = threading.Event()
    seen = []

    def progress(done, at, of):
        seen.append((at, of))
        if done.outcome == "compressed":
            stop.set()

    stopped = compress_cold(home, on_progress=progress, stop=stop)
    assert stopped.stopped
    assert stopped.outcomes["compressed"] == 1
    assert stopped.temps_removed == 1
    assert seen == [(at, 4) for at in range(1, len(seen) + 1)]
    assert not left.exists()

    rest = compress_cold(home)
    assert (rest.outcomes, rest.stopped, rest.failed) == ({"compressed": 2, "not-cold": 1}, False, [])
    assert rest.bytes_after < rest.bytes_before
    assert [entry.zst for entry in walk(home)].count(True) == 3
    again = compress_cold(home)
    assert again.outcomes == {"not-cold": 1}


def test_a_file_that_somebody_without_a_lock_writes_to_meanwhile_stays_plain(home, child):
    path = thread(home, turns=5)
    packing = child(
        """
home, path = sys.argv[1:]
same = compressing.same_text
def same_text(*args):
    found = same(*args)
    pause("compared")
    return found
compressing.same_text = same_text
say(compress(home, path).outcome)
""",
        home,
        relative(home, path),
    )
    assert packing.line() == "compared"
    with path.open("ab") as file:
        file.write(b'{"type":"x","payload":{}}\n')
    packing.tell()
    assert packing.line() == "changed"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("door", ["compress", "resume"])
def test_a_crash_that_left_both_does_not_keep_the_thread_from_being_compressed(home, child, grown, door):
    path = thread(home, turns=5)
    text = path.read_bytes()
    compress(home, relative(home, path))
    unpacking = child(
        """
from holdfast.rollouts import materialize
real = os.unlink
def unlink(name):
    if name.endswith(".zst"): pause("unlink")
    real(name)
os.unlink = unlink
materialize(sys.argv[1])
""",
        path,
    )
    assert unpacking.line() == "unlink"
    unpacking.kill()
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.zst"]
    if grown:  # by somebody who does not look for a `.zst`
        with path.open("ab") as file:
            file.write(b'{"timestamp":"2026-11-21T12:00:00.000Z","ordinal":50,"type":"x","payload":{}}\n')
        text = path.read_bytes()
    if door == "resume":
        with RolloutWriter.resume(home, path, sync="never"):
            pass
        assert os.listdir(path.parent) == [path.name]
    os.utime(path, (1, 1))
    assert compress(home, relative(home, path)).outcome == "compressed"
    assert os.listdir(path.parent) == [f"{path.name}.zst"]
    assert zstd.decompress(Path(f"{path}.zst").read_bytes()) == text


def test_a_zst_that_holds_more_or_something_else_than_the_plain_file_stays(home):
    path = thread(home, turns=2)
    text = path.read_bytes()
    for other in (text + b'{"type":"x","payload":{}}\n', text.replace(b"fix", b"FIX"), text[:-9] + b"x"):
        packed = zstd.compress(other)
        Path(f"{path}.zst").write_bytes(packed)
        assert compress(home, relative(home, path)).outcome == "already"
        with RolloutWriter.resume(home, path, sync="never"):
            pass
        os.utime(path, (1, 1))
        assert (path.read_bytes(), Path(f"{path}.zst").read_bytes()) == (text, packed)
    Path(f"{path}.zst").write_bytes(zstd.compress(text)[:-5])  # torn: what it lacks, nobody knows
    assert compress(home, relative(home, path)).outcome == "already"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(home):
    cold, held, fresh = (thread(home, cold=n < 2) for n in range(3))
    with RolloutWriter.resume(home, held):
        before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(home).rglob("*.*")}
        run = compress_cold(home, dry_run=True)
        assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(home).rglob("*.*")} == before
    assert run.outcomes == {"cold": 1, "busy": 1, "not-cold": 1}
    assert {each.path: each.outcome for each in run.files} == {
        relative(home, cold): "cold", relative(home, held): "busy"
    }  # fmt: skip
    assert run.bytes_before == cold.stat().st_size
    assert fresh.exists()


# Each step that changes anything on the disk, and the reading between them.
STEPS = """
home, path, step = sys.argv[1:]
steps = 0
ours = ("compressing.py", "materializing.py", "growing.py")
def counted(name):
    real = getattr(os, name)
    def call(*args, **options):
        global steps
        if os.path.basename(sys._getframe(1).f_code.co_filename) in ours:
            if steps == int(step): pause(name)
            steps += 1
        return real(*args, **options)
    setattr(os, name, call)
for name in ("open", "write", "fsync", "fchmod", "utime", "link", "unlink", "close", "stat"): counted(name)
say(compress(home, path).outcome)
"""


@pytest.mark.parametrize("steps", [pytest.param(12, id="some"), pytest.param(60, marks=pytest.mark.torture)])
def test_killed_before_any_step_there_is_exactly_one_readable_thread(home, child, steps):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    path = thread(home, turns=5)
    before = facts(path)
    killed = 0
    for step in sorted(random.Random(seed).sample(range(60), steps)):
        packing = child(STEPS, home, relative(home, path), step)
        if packing.line() not in ("compressed", "already"):
            killed += 1
        packing.kill()
        assert len(list(walk(home))) == 1
        assert facts(path) == before
        with RolloutWriter.resume(home, path, sync="never") as writer:
            assert writer.next_ordinal == before["last_ordinal"] + 1
        os.utime(path, (1_000_000, 2_000_000))
        run = compress_cold(home)
        assert run.outcomes == {"compressed": 1}
        assert os.listdir(path.parent) == [f"{path.name}.zst"]
        with RolloutWriter.resume(home, path, sync="never"):
            pass
        os.utime(path, (1_000_000, 2_000_000))
    assert killed


def test_an_interrupt_leaves_the_plain_file_and_nothing_else(home, monkeypatch):
    path = thread(home, turns=5)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.rollouts.compressing.same_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compress_cold(home)
    assert os.listdir(path.parent) == [path.name]
    monkeypatch.undo()
    assert compress_cold(home).outcomes == {"compressed": 1}
