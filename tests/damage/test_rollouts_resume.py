"""Going on with a rollout, in whatever state it is: mended with a copy kept, or refused with a reason."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from backports import zstd

from holdfast.errors import Damaged, HoldfastError, Refused
from holdfast.rollouts import HistoryBase, RolloutWriter, history_base, materialize, scan
from holdfast.rollouts.writing.tail import tail
from homes import MadeHome, thread_id
from written import META, Live, a_turn, check_numbers, lines_of, messages, says


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return str(path)


@pytest.fixture(params=["paginated", "legacy"])
def rollout(request, home):
    with RolloutWriter.create(home, {**META, "history_mode": request.param}) as writer:
        writer.append([says("one"), says("two")])
    return Path(writer.path)


def line(ordinal=None, **payload):
    numbered = {} if ordinal is None else {"ordinal": ordinal}
    return json.dumps({"timestamp": "2026-11-21T12:00:00.000Z", **numbered, "type": "event_msg", "payload": payload})


def add(path, data):
    with path.open("ab") as file:
        file.write(data)


# What a crash left at the end


@pytest.mark.parametrize(
    "tail",
    [b"{", b'{"timestamp":"2026-11-21T', b"\0" * 5_000, b'{"type":"event_msg","payload":{}}\0\0', b"\xff" * 200_000,
     b'{"type":"event_msg","payload":{"a":"\xff"}}', b"null", b" "],
)  # fmt: skip
def test_a_torn_tail_is_kept_before_it_is_cut_off(home, rollout, tail):
    whole = rollout.read_bytes()
    add(rollout, tail)
    with pytest.raises(Refused, match=f"ends with {len(tail)} bytes"):
        RolloutWriter.resume(home, rollout)
    assert rollout.read_bytes() == whole + tail

    kept = []

    def keep(path, offset, data):
        assert rollout.read_bytes() == whole + tail
        kept.append((path, offset, data))

    with RolloutWriter.resume(home, rollout, keep=keep) as writer:
        assert kept == [(str(rollout), len(whole), tail)]
        assert writer.cut_bytes == len(tail)
        live = Live(writer)
        live.append([says("three")])
        live.check()
    assert messages(rollout) == ["one", "two", "three"]


def test_a_copy_that_cannot_be_kept_leaves_the_tail_where_it_is(home, rollout):
    add(rollout, b"{half")
    before = rollout.read_bytes()

    def keep(path, offset, data):
        raise OSError(28, "No space left on device")

    with pytest.raises(HoldfastError):
        RolloutWriter.resume(home, rollout, keep=keep)
    assert rollout.read_bytes() == before
    with RolloutWriter.resume(home, rollout, keep=lambda *_: None) as writer:
        assert writer.size == len(before) - 5


def test_a_last_line_that_only_lacks_its_newline_is_kept(home, rollout):
    rollout.write_bytes(rollout.read_bytes()[:-1])
    with RolloutWriter.resume(home, rollout) as writer:
        writer.append([says("three")])
    assert messages(rollout) == ["one", "two", "three"]
    rollout.write_bytes(rollout.read_bytes()[:-1])
    RolloutWriter.resume(home, rollout).close()
    RolloutWriter.resume(home, rollout).close()
    assert len(lines_of(rollout)) == 4


@pytest.mark.parametrize(
    ("after", "next_ordinal"),
    [([0, 4], 5), ([7, "{broken", "", "\r"], 8), (["\0\0" + line(9)], 10), ([3, '{"ordinal": "12", "type": "x"}'], 4),
     (["x" * 200_000], 3), (["x" * 65_536], 3), ([2**64 - 2], 2**64 - 1)],
)  # fmt: skip
def test_numbers_go_on_behind_the_last_line_that_can_be_read(home, after, next_ordinal):
    with RolloutWriter.create(home, META) as writer:
        writer.append([says("one"), says("two")])
    for each in after:
        add(Path(writer.path), (line(each) if isinstance(each, int) else each).encode() + b"\n")
    with RolloutWriter.resume(home, writer.path) as writer:
        assert writer.next_ordinal == next_ordinal
        assert writer.append([says("three")]).first_ordinal == next_ordinal


def test_numbers_that_are_used_up_leave_the_file_as_it_is(home):
    with RolloutWriter.create(home, META) as writer:
        writer.append([says("one")])
    path = Path(writer.path)
    add(path, line(2**64 - 1).encode() + b"\n")
    before = path.read_bytes()
    with RolloutWriter.resume(home, path) as writer, pytest.raises(Refused, match="end at"):
        writer.append([says("two")])
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_001])
def test_the_end_of_a_file_is_found_wherever_the_pieces_are_cut(tmp_path, size):
    file = tmp_path / "file"
    for end in (b"", b"{half"):
        file.write_bytes(line(5).encode() + b"\n" + line(6, a="x" * size).encode() + b"\nno json\n" + end)
        fd = os.open(file, os.O_RDONLY)
        found = tail(fd, os.stat(file).st_size, str(file))
        os.close(fd)
        assert (found.last, found.fragment, found.is_whole) == (6, end, False)
        assert found.end == os.stat(file).st_size - len(end)


# What is not gone on with


def first_line(path, **change):
    first, rest = path.read_bytes().split(b"\n", 1)
    meta = json.loads(first)
    meta["payload"] |= change
    path.write_bytes(json.dumps(meta).encode() + b"\n" + rest)


@pytest.mark.parametrize(
    ("damage", "error", "why"),
    [
        (lambda path: path.write_bytes(b""), Refused, "no session_meta"),
        (lambda path: path.write_bytes(line(0).encode() + b"\n"), Refused, "no session_meta"),
        (lambda path: path.write_bytes(b"{half\n" + path.read_bytes()), Refused, "does not begin with"),
        (lambda path: path.write_bytes(line(0).encode() + b"\n" + path.read_bytes()), Refused, "does not begin with"),
        (lambda path: first_line(path, id=thread_id(9)), Refused, "its session_meta says"),
        (lambda path: first_line(path, history_mode="tomorrow's"), Refused, "tomorrow's"),
        (lambda path: first_line(path, subagent_history_start_ordinal=9), Refused, "breaks off at line 2"),
        (lambda path: add(path, line().encode() + b"\n"), Damaged, "has no ordinal"),
        (lambda path: add(path, line().encode()), Damaged, "has no ordinal"),
    ],
)
def test_a_file_that_cannot_be_gone_on_with_is_left_as_it_is(home, damage, error, why):
    with RolloutWriter.create(home, META) as writer:
        writer.append([says("one"), says("two")])
    path = Path(writer.path)
    damage(path)
    before = path.read_bytes()
    for _ in range(2):  # and the lock is not kept
        with pytest.raises(error, match=why):
            RolloutWriter.resume(home, path, keep=lambda *_: None)
    assert path.read_bytes() == before


def test_a_sub_agent_whose_copied_lines_are_complete_is_gone_on_with(home):
    with RolloutWriter.create(home, {**META, "subagent_history_start_ordinal": 3}) as writer:
        writer.append([says("one"), says("two")])
    RolloutWriter.resume(home, writer.path).close()


def test_only_a_rollout_of_the_home_is_gone_on_with(home, tmp_path):
    with RolloutWriter.create(home, META) as writer:
        writer.persist()
    relative = os.path.relpath(writer.path, home)
    RolloutWriter.resume(home, relative).close()
    with pytest.raises(Refused, match="there is no"):
        RolloutWriter.resume(home, "sessions/rollout-none.jsonl")
    with pytest.raises(Refused, match="no rollout of the home"):
        RolloutWriter.resume(tmp_path / "other", writer.path)
    with pytest.raises(Refused, match="no rollout of the home"):
        RolloutWriter.resume(home, "sessions/../config.toml")
    os.makedirs(f"{home}/archived_sessions")
    os.rename(writer.path, archived := f"{home}/archived_sessions/{os.path.basename(writer.path)}")
    with pytest.raises(Refused, match="is archived"):
        RolloutWriter.resume(home, archived)
    os.mkfifo(writer.path)
    with pytest.raises(Refused):
        RolloutWriter.resume(home, writer.path)


# What Codex left


@pytest.mark.parametrize("version", ["0.141", "0.169"])
def test_every_recorded_thread_is_gone_on_with_and_told_as_a_scan_tells_it(version, tmp_path):
    home = MadeHome.recorded(version, tmp_path)
    files = sorted((home.path / "sessions").rglob("rollout-*.jsonl"))
    assert len(files) > 20
    for file in files:
        before = file.read_bytes()
        with RolloutWriter.resume(home, file, sync="never") as writer:
            live = Live(writer)
            live.append(a_turn(writer))
            live.check()
        assert file.read_bytes().startswith(before)
        if live.facts.history_mode == "paginated":
            check_numbers(file)


# Compressed ones


def pack(path, data=None, frames=None):
    Path(f"{path}.zst").write_bytes(zstd.compress(path.read_bytes()) if data is None else data)
    path.unlink()


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_compressed_rollout_is_made_plain_first(home, rollout, mode):
    text = rollout.read_bytes()
    pack(rollout)
    os.chmod(f"{rollout}.zst", mode)
    os.utime(f"{rollout}.zst", (1_000_000, 2_000_000))
    assert materialize(str(rollout))
    assert not materialize(str(rollout))
    assert (rollout.read_bytes(), rollout.stat().st_mtime, stat.S_IMODE(rollout.stat().st_mode)) == (
        text,
        2_000_000,
        mode,
    )
    assert os.listdir(rollout.parent) == [rollout.name]
    rollout.chmod(0o600)
    pack(rollout)
    with RolloutWriter.resume(home, f"{rollout}.zst") as writer:
        writer.append([says("three")])
    assert messages(rollout) == ["one", "two", "three"]
    assert os.listdir(rollout.parent) == [rollout.name]


@pytest.mark.parametrize("spoil", [lambda data: data[:-4], lambda data: data[:40] + b"\0\0\0\0" + data[44:]])
def test_a_compressed_rollout_that_cannot_be_decoded_stays_as_it_is(home, rollout, spoil):
    packed = spoil(zstd.compress(rollout.read_bytes()))
    pack(rollout, packed)
    with pytest.raises((Damaged, Refused)):
        RolloutWriter.resume(home, rollout)
    assert os.listdir(rollout.parent) == [f"{rollout.name}.zst"]
    assert Path(f"{rollout}.zst").read_bytes() == packed


# Forks


def test_a_fork_continues_the_numbers_of_its_origin(home):
    with RolloutWriter.create(home, META) as origin:
        origin.append([says("one"), says("two"), says("three")])
    whole = history_base(origin.path)
    assert whole == HistoryBase(origin.thread_id, 4, os.stat(origin.path).st_size)
    part = history_base(origin.path, 2)
    assert Path(origin.path).read_bytes()[: part.end_byte_offset].count(b"\n") == 2
    for base in (whole, part):
        with RolloutWriter.create(home, META, base=base) as fork:
            live = Live(fork)
            assert live.append([says("mine")]).first_ordinal == base.end_ordinal_exclusive + 1
            live.check()
        assert scan(fork.path).facts.base_end_ordinal == base.end_ordinal_exclusive
        with RolloutWriter.resume(home, fork.path) as fork:
            assert fork.next_ordinal == base.end_ordinal_exclusive + 2
    pack(Path(origin.path))
    assert history_base(origin.path, 2) == part
    assert history_base(origin.path) == whole
    with pytest.raises(Refused, match=f"fork {origin.thread_id}"):
        history_base(fork.path, 2)


def test_half_a_line_is_no_part_of_a_fork(home):
    with RolloutWriter.create(home, META) as origin:
        origin.append([says("one")])
    whole = history_base(origin.path)
    add(Path(origin.path), b'{"ordinal":2,"type":"event')
    assert history_base(origin.path) == whole


@pytest.mark.parametrize("end_ordinal", [0, -1, 4, 99])
def test_a_fork_where_no_line_begins_is_refused(home, end_ordinal):
    with RolloutWriter.create(home, META) as origin:
        origin.append([says("one"), says("two")])
    with pytest.raises(Refused):
        history_base(origin.path, end_ordinal)


def test_a_base_in_the_middle_of_a_line_of_a_legacy_thread_or_of_none_is_refused(home):
    with RolloutWriter.create(home, META) as origin:
        origin.append([says("one"), says("two")])
    with pytest.raises(Refused, match="is not where line 2 begins"):
        RolloutWriter.create(home, META, base=HistoryBase(origin.thread_id, 2, 100))
    with pytest.raises(Refused, match="has none with the id"):
        RolloutWriter.create(home, META, base=HistoryBase(thread_id(9), 2, 100))
    with RolloutWriter.create(home, {**META, "history_mode": "legacy"}) as legacy:
        legacy.append([says("one")])
    with pytest.raises(Refused, match="legacy thread"):
        history_base(legacy.path)
    with pytest.raises(Refused, match="legacy thread has no history_base"):
        RolloutWriter.create(home, {**META, "history_mode": "legacy"}, base=history_base(origin.path))
    pack(Path(origin.path), zstd.compress(Path(origin.path).read_bytes())[:-10])
    with pytest.raises((Damaged, Refused)):
        history_base(origin.path)
