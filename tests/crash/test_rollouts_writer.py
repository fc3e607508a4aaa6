"""One writer, one file: killed, interrupted, forked, beside another one, on a disk that says no."""

from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import sys
import threading
import uuid

import pytest

from holdfast.errors import Busy, Damaged, Full, Refused, Unsupported
from holdfast.lockfiles import holders
from holdfast.rollouts import RolloutWriter, scan, writer_lock, writing
from homes import NOON_MS
from processes import children
from written import META, Live, a_turn, check_numbers, lines_of, messages, says

PRELUDE = """
from holdfast.rollouts import RolloutWriter, scan, writer_lock
from holdfast import Busy
def says(words): return {"type": "event_msg", "payload": {"type": "agent_message", "message": words}}
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


@pytest.fixture
def writer(home):
    made = RolloutWriter.create(home, META)
    yield made
    made.close(discard=True)


def everything(home):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(home) for name in names)


# A thread's life


@pytest.mark.parametrize("mode", ["paginated", "legacy"])
@pytest.mark.parametrize("sync", ["append", "turn", "never"])
def test_what_is_appended_is_in_the_file_and_the_answers_say_what_a_scan_says(home, mode, sync):
    with RolloutWriter.create(home, {**META, "history_mode": mode}, sync=sync) as writer:
        live = Live(writer)
        first = live.append([says("one")])
        second = live.append(a_turn(writer))
        live.check()

    assert messages(writer.path)[0] == "one"
    assert (first.offset + first.bytes, second.offset + second.bytes) == (second.offset, writer.size)
    assert (first.durable, second.durable) == (sync == "append", sync != "never")
    numbers = [line.get("ordinal") for line in lines_of(writer.path)]
    if mode == "legacy":
        assert set(numbers) == {None}
        assert (first.first_ordinal, second.last_ordinal) == (None, None)
    else:
        assert numbers == list(range(len(numbers)))
        assert (first.first_ordinal, first.last_ordinal, second.first_ordinal) == (1, 1, 2)
        assert second.last_ordinal == numbers[-1]
    with RolloutWriter.resume(home, writer.path, sync=sync) as writer:
        live = Live(writer)
        live.append([says("three"), says("four")])
        live.check()


def test_nothing_is_on_the_disk_until_there_are_items_and_then_only_for_its_owner(home):
    writer = RolloutWriter.create(home, META)
    assert writer.append([]).bytes == 0
    writer.flush()
    writer.close()
    assert os.listdir(home) == []

    with RolloutWriter.create(home, META) as writer:
        writer.persist()
        (line,) = lines_of(writer.path)
        assert line["payload"]["id"] == writer.thread_id
        writer.persist()
        assert stat.S_IMODE(os.stat(writer.path).st_mode) == 0o600
        folder = os.path.dirname(writer.path)
        assert writer.path.startswith(f"{home}/sessions/")
        while folder != home:
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            folder = os.path.dirname(folder)
    assert len(lines_of(writer.path)) == 1


def test_a_batch_with_a_bad_item_leaves_file_and_numbers_as_they_were(writer):
    writer.append([says("one")])
    before = writer.size
    with pytest.raises(Refused):
        writer.append([says("two"), says(object())])
    assert os.stat(writer.path).st_size == before
    assert writer.append([says("three")]).first_ordinal == 2


def test_a_closed_writer_says_so(writer):
    writer.append([says("one")])
    writer.close()
    writer.close()
    with pytest.raises(Refused, match="closed"):
        writer.append([says("two")])


def test_threads_of_one_process_share_a_writer(writer):
    writer.persist()

    def work(name):
        for n in range(50):
            writer.append([says(f"{name} {n}"), says(f"{name} {n} again")])

    crowd = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()

    check_numbers(writer.path)
    found = messages(writer.path)
    assert found[1::2] == [f"{words} again" for words in found[::2]]
    assert len(found) == 400


# Two of them


def test_a_second_writer_is_told_who_has_the_thread(home, writer, child):
    writer.append([says("one")])
    with pytest.raises(Busy, match=f"pid {os.getpid()}"):
        RolloutWriter.resume(home, writer.path)
    other = child(
        """
home, path = sys.argv[1:]
try: RolloutWriter.resume(home, path)
except Busy as busy: say(busy)
hear()
with RolloutWriter.resume(home, path) as writer:
    say(writer.append([says("two")]).first_ordinal)
    hear()
    say("left")
""",
        home,
        writer.path,
    )
    assert f"pid {os.getpid()}" in other.line()
    writer.close()
    other.tell()
    assert other.line() == "2"
    with pytest.raises(Busy, match=f"pid {other.pid}"):
        RolloutWriter.resume(home, writer.path)
    other.kill()
    with RolloutWriter.resume(home, writer.path) as again:
        assert again.append([says("three")]).first_ordinal == 3
    check_numbers(writer.path)


def test_the_lock_is_given_to_who_waits_for_it_and_leaves_no_file(home, child):
    lock = writer_lock(home, "a-thread")
    waiter = child(
        """
with writer_lock(sys.argv[1], "a-thread", wait_ms=60_000): say("has it")
say("left")
""",
        home,
    )
    (holder,) = holders(lock.path)
    assert holder.pid == os.getpid()
    lock.release()
    lock.release()
    assert waiter.lines() == ["has it", "left"]
    assert os.listdir(f"{home}/thread-writer-locks") == [".coordination.lock"]


OURS = """
def turn(home, inside):
    with writer_lock(home, "a-thread", wait_ms=60_000): inside()
"""
# The calls of Codex 0.169, as strace(1) shows them: it unlocks first, and unlinks then.
CODEX = """
import fcntl
def locked(path, how):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try: fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError: os.close(fd)
    else: return fd
def turn(home, inside):
    folder = f"{home}/thread-writer-locks"
    os.makedirs(folder, exist_ok=True)
    fd = None
    while fd is None:
        guard = locked(f"{folder}/.coordination.lock", fcntl.LOCK_SH)
        if guard is not None:
            fd = locked(f"{folder}/a-thread.lock", fcntl.LOCK_EX)
            os.close(guard)
    inside()
    guard = locked(f"{folder}/.coordination.lock", fcntl.LOCK_EX)
    os.close(fd)
    if guard is not None:
        os.unlink(f"{folder}/a-thread.lock")
        os.close(guard)
"""


@pytest.mark.parametrize("other", [OURS, CODEX], ids=["ours", "codex"])
@pytest.mark.parametrize("rounds", [200, pytest.param(5_000, marks=pytest.mark.torture)])
def test_however_often_it_changes_hands_two_never_have_the_lock(home, child, tmp_path, other, rounds):
    # Who lets go unlinks the file: somebody could lock one that is no longer there, and a third one the next.
    code = """
home, mark, rounds = sys.argv[1:]
def inside():
    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    os.unlink(mark)
for n in range(int(rounds)): turn(home, inside)
say("done")
"""
    crowd = [child(kind + code, home, tmp_path / "inside", rounds) for kind in (OURS, OURS, other)]
    assert [each.lines() for each in crowd] == [["done"]] * 3


def test_a_forked_child_has_no_part_in_the_writer_and_does_not_keep_its_lock(home, child):
    parent = child(
        """
writer = RolloutWriter.create(sys.argv[1], {"cwd": "/x"})
writer.append([says("one")])
say(writer.path)
if os.fork() == 0:
    try: writer.append([says("from the child")])
    except Exception as error: say(type(error).__name__, error)
    writer.close()
    hear()
    os._exit(0)
hear()
""",
        home,
    )
    path = parent.line()
    assert parent.line().startswith("Refused the writer of thread")
    with pytest.raises(Busy):
        RolloutWriter.resume(home, path)
    parent.kill()  # its child lives on, and heard nothing yet
    with RolloutWriter.resume(home, path) as writer:
        writer.append([says("two")])
    assert messages(path) == ["one", "two"]


# Killed, interrupted

APPEND = """
home, path = sys.argv[1:]
writer = RolloutWriter.resume(home, path, keep=lambda *_: None)
say("from", writer.next_ordinal)
n = writer.next_ordinal
while True:
    answer = writer.append([says(f"{n + k} " + "x" * (n * 7919 % 40_000)) for k in range(1 + n % 3)])
    assert answer.durable
    n = answer.last_ordinal + 1
    say(answer.last_ordinal)
"""


@pytest.mark.parametrize("rounds", [6, pytest.param(150, marks=pytest.mark.torture)])
def test_killed_in_the_middle_nothing_that_was_answered_is_lost_or_twice(rounds, home, child):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    with RolloutWriter.create(home, META) as writer:
        writer.persist()
    path = writer.path
    for _ in range(rounds):
        appending = child(APPEND, home, path)
        answered = int(appending.line().split()[-1]) - 1
        for _ in range(chosen.randrange(40)):
            answered = int(appending.line())
        appending.kill()
        with RolloutWriter.resume(home, path, keep=lambda *_: None) as writer:
            assert writer.next_ordinal > answered
        check_numbers(path)
        for line in lines_of(path)[1:]:
            assert line["payload"]["message"].startswith(f"{line['ordinal']} ")


@pytest.mark.parametrize("rounds", [40, pytest.param(3_000, marks=pytest.mark.torture)])
def test_interrupted_anywhere_it_goes_on_with_every_line_once(rounds, home):
    # Ctrl-C comes between any two lines: here before a chosen one of those that give a batch its place and write it.
    # Not in writer.py: there a trace can come between the end of a `with` and its lock's release, a signal cannot.
    folder = os.path.dirname(writing.__file__)
    ours = {f"{folder}/{name}.py" for name in ("lines", "pending", "growing")}
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    with RolloutWriter.create(home, META, sync="never") as writer:
        live = Live(writer)
        live.append([says("start")])
        taken = ["start"]
        for n in range(rounds):
            left = chosen.randrange(1, 90)

            def trace(frame, event, arg):
                nonlocal left
                if event == "line" and frame.f_code.co_filename in ours:
                    left -= 1
                    if left == 0:
                        raise KeyboardInterrupt
                return trace

            before = writer.next_ordinal
            sys.settrace(trace)
            try:
                writer.append([says(f"interrupted {n}")])
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(None)
            if writer.next_ordinal != before:
                taken.append(f"interrupted {n}")
            writer.append([says(f"after {n}")])
            taken.append(f"after {n}")
    assert messages(writer.path) == taken
    check_numbers(writer.path)


# A disk that says no


class Disk:
    """A small disk of its own (tmpfs(5)), where one may be mounted."""

    def __init__(self, path):
        path.mkdir()
        self.path = path
        self.command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path]

    def mount(self):
        return subprocess.run(self.command, capture_output=True).returncode == 0

    def again(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    def end(self):
        if subprocess.run(["umount", self.path]).returncode:
            subprocess.run(["umount", "--lazy", self.path], check=True)
            raise AssertionError(f"something on {self.path} was left open")


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "disk")
    if not made.mount():
        pytest.skip("no disk may be mounted here; the limit on the size of files, below, is much the same")
    yield made
    made.end()


@pytest.mark.parametrize("sync", ["append", "turn", "never"])
def test_on_a_full_disk_items_wait_in_order_and_are_written_once_when_there_is_room(disk, sync):
    writer = RolloutWriter.create(disk.path, META, sync=sync, queued_bytes_max=200_000)
    live = Live(writer)
    said = []
    answer = live.append([says("0")])
    while not answer.because:
        said.append(f"{len(said)} " + "x" * 3_000)
        answer = writer.append([says(said[-1])])
    for line in lines_of(writer.path):  # no half line, also while it is full
        assert line
    assert answer.because == os.strerror(errno.ENOSPC)
    assert (answer.offset, answer.durable, answer.queued) == (None, False, 1)
    with pytest.raises(Full, match="not taken"):
        for _ in range(100):
            answer = writer.append([says(f"{len(said)} " + "x" * 3_000)])
            said.append(f"{len(said)} " + "x" * 3_000)
            assert answer.because
    assert 190_000 < writer.queued_bytes <= 200_000
    assert len(writer.queued_block()) == writer.queued_bytes
    with pytest.raises(Full, match=f"{writer.queued} items, {writer.queued_bytes} bytes"):
        writer.flush()
    with pytest.raises(Full):
        writer.close()

    disk.again("size=16m")
    writer.append([says("the last")])
    assert writer.queued == 0
    assert messages(writer.path) == ["0", *said, "the last"]
    check_numbers(writer.path)
    writer.close()
    assert scan(writer.path).problems == []


@pytest.mark.parametrize("sync", ["append", "never"])
def test_what_fits_of_what_waits_is_written_and_the_rest_goes_on_waiting(disk, sync):
    with RolloutWriter.create(disk.path, META, sync=sync) as writer:
        said = [f"{n} " + "x" * 300_000 for n in range(12)]
        for words in said:
            assert writer.append([says(words)]).because
        disk.again("size=2m")
        with pytest.raises(Full):
            writer.flush()
        assert 0 < writer.queued < 12
        disk.again("size=16m")
    assert messages(writer.path) == said
    check_numbers(writer.path)


def test_what_waits_can_be_let_go(disk):
    writer = RolloutWriter.create(disk.path, META)
    answer = writer.append([says("0")])
    while not answer.because:
        answer = writer.append([says("x" * 3_000)])
    size = writer.size
    writer.discard()
    assert os.stat(writer.path).st_size == size
    assert lines_of(writer.path)


def test_a_disk_that_is_read_only_for_a_while_loses_nothing(disk):
    disk.again("ro")
    writer = RolloutWriter.create(disk.path, META)
    answer = writer.append([says("one")])
    assert (answer.because, answer.queued) == (os.strerror(errno.EROFS), 1)
    with pytest.raises(Unsupported, match="1 items"):
        writer.close()
    disk.again("rw")
    writer.close()
    assert messages(writer.path) == ["one"]


def test_at_a_limit_on_the_size_of_files_no_half_line_is_left(home, child):
    limited = child(
        """
import resource
writer = RolloutWriter.create(sys.argv[1], {"cwd": "/x"}, sync="never")
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
said = 0
while not (answer := writer.append([says(f"{said} " + "x" * 999)])).because: said += 1
say(answer.because)
say(os.stat(writer.path).st_size == writer.size, scan(writer.path).problems)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append([says("end")])
writer.close()
say(writer.path)
say(said)
""",
        home,
    )
    assert limited.line() == os.strerror(errno.EFBIG)
    assert limited.line() == "True []"
    path, said = limited.line(), int(limited.line())
    assert [words.split()[0] for words in messages(path)] == [*map(str, range(said + 1)), "end"]
    check_numbers(path)


def test_the_folder_that_cannot_be_made_yet_is_made_later(home, writer):
    wrong = os.path.join(home, "sessions")
    os.close(os.open(wrong, os.O_CREAT))
    assert writer.append([says("one")]).because == os.strerror(errno.ENOTDIR)
    with pytest.raises(Unsupported, match="Not a directory"):
        writer.persist()
    os.unlink(wrong)
    writer.persist()
    assert messages(writer.path) == ["one"]


def test_a_home_that_is_gone_is_not_made_anew_elsewhere(home, writer):
    os.rename(home, f"{home}.away")
    assert writer.append([says("one")]).because == os.strerror(errno.ENOENT)
    assert not os.path.exists(home)
    os.rename(f"{home}.away", home)
    writer.append([says("two")])
    os.rename(f"{home}/sessions", f"{home}/away")
    assert writer.append([says("three")]).because == os.strerror(errno.ENOENT)
    os.rename(f"{home}/away", f"{home}/sessions")
    writer.flush()
    assert messages(writer.path) == ["one", "two", "three"]


@pytest.mark.parametrize("sync", ["append", "turn"])
def test_what_could_not_be_forced_to_the_disk_is_written_again(home, sync, monkeypatch):
    # The one fault no test can make for real: the disk fails behind the page cache, and says so once.
    with RolloutWriter.create(home, META, sync=sync) as writer:
        writer.append(a_turn(writer, "safe"))
        safe = writer.size

        def failing(fd):
            monkeypatch.undo()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fdatasync", failing)
        answer = writer.append(a_turn(writer, "not safe"))
        assert (answer.because, answer.durable, answer.offset) == (os.strerror(errno.EIO), False, None)
        assert (writer.size, answer.queued) == (safe, 7)
        with open(writer.path, "r+b") as file:  # the pages it lost are zeros by now
            file.seek(safe + 10)
            file.write(b"\0" * 100)
        assert writer.append([says("after")]).durable == (sync == "append")
    assert scan(writer.path).problems == []
    check_numbers(writer.path)
    assert sum(line["type"] == "turn_context" for line in lines_of(writer.path)) == 2


# Somebody else


def add(path):
    with open(path, "ab") as file:
        file.write(b'{"type":"x","payload":{}}\n')


def cut(path):
    os.truncate(path, os.stat(path).st_size - 5)


def move(path):
    os.rename(path, f"{path}.moved")


def replace(path):
    with open(path, "rb") as file, open(f"{path}.new", "wb") as copy:
        copy.write(file.read())
    os.replace(f"{path}.new", path)


@pytest.mark.parametrize(
    ("do", "what"),
    [(add, "26 bytes were added"), (cut, "5 bytes were cut off"), (move, "moved or deleted"), (os.unlink, "moved"),
     (replace, "another file")],
)  # fmt: skip
def test_a_file_that_somebody_else_was_at_is_left_alone_and_it_is_said_what_he_did(writer, do, what):
    writer.append([says("one")])
    do(writer.path)
    before = {path: os.stat(path).st_size for path in everything(writer.home)}
    for _ in range(2):
        with pytest.raises(Damaged, match=what):
            writer.append([says("two")])
    assert writer.queued == 0
    assert {path: os.stat(path).st_size for path in everything(writer.home)} == before


def test_a_file_that_comes_back_is_gone_on_with(writer):
    writer.append([says("one")])
    move(writer.path)
    with pytest.raises(Damaged):
        writer.append([says("two")])
    os.rename(f"{writer.path}.moved", writer.path)
    assert writer.append([says("two")]).first_ordinal == 2


@pytest.mark.parametrize("later_ms", [0, 5_000])  # at another time the file has another name
def test_an_id_that_a_file_already_has_is_refused_also_when_it_came_meanwhile(home, later_ms):
    meta = {**META, "id": str(uuid.UUID(int=NOON_MS << 80 | 7 << 76 | 2 << 62))}
    again = RolloutWriter.create(home, meta, clock=lambda: NOON_MS + later_ms)
    with RolloutWriter.create(home, meta, clock=lambda: NOON_MS) as writer:
        writer.persist()
        with pytest.raises(Busy, match="by this process"):
            again.append([says("two")])
    with pytest.raises(Refused, match="exists already"):
        again.append([says("two")])
    again.close()
    with pytest.raises(Refused, match="exists already"):
        RolloutWriter.create(home, meta, clock=lambda: NOON_MS + later_ms)
    assert [path for path in everything(home) if path.endswith(".jsonl")] == [writer.path]
    assert len(lines_of(writer.path)) == 1


def test_a_home_may_be_named_through_a_link(home, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(home)
    with RolloutWriter.create(link, META) as writer:
        writer.append([says("one")])
        real = os.path.realpath(writer.path)
        for named, path in ((home, real), (home, writer.path), (link, real)):
            with pytest.raises(Busy):
                RolloutWriter.resume(named, path)
    for named, path in ((home, writer.path), (link, real), (link, writer.path)):
        with RolloutWriter.resume(named, path) as writer:
            writer.append([says("more")])
    assert messages(real) == ["one", "more", "more", "more"]


def test_a_forked_child_cannot_make_the_file_of_its_parents_thread(home, child):
    parent = child(
        """
writer = RolloutWriter.create(sys.argv[1], {"cwd": "/x"})
if os.fork() == 0:
    try: writer.append([says("from the child")])
    except Exception as error: say(type(error).__name__)
    writer.close()
    os._exit(0)
os.wait()
writer.append([says("from the parent")])
writer.close()
say(writer.path)
""",
        home,
    )
    refused, path = parent.lines()
    assert (refused, messages(path)) == ("Refused", ["from the parent"])


def test_no_descriptor_stays_open(home):
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with RolloutWriter.create(home, META, sync="never") as writer:
            writer.append([says("one")])
    assert set(os.listdir("/proc/self/fd")) == before
