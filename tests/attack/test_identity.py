"""Files taken away, replaced or shared under us: found before a commit is acknowledged; nobody's rows are spoilt."""

import os
import shutil

import pytest
from attack_helpers import INSERT, counts, inodes, texts

from holdfast.errors import Damaged, Refused
from holdfast.sqlite import Store


def remove_the_sidecars(path):
    os.unlink(f"{path}-wal")
    os.unlink(f"{path}-shm")


def restore_a_copy(path):
    os.replace(f"{path}.copy", path)


THEIRS = """
for number in range(4):
    connection = connect()
    add(connection, f"theirs {number}")
    connection.close()
say([row[0] for row in connect().execute("SELECT text FROM notes WHERE text LIKE 'theirs%'")])
"""
ALL_THEIRS = [f"theirs {number}" for number in range(4)]


@pytest.fixture
def used(make, path):
    """A store with one row, of which a copy was made before."""
    make().close()
    shutil.copy(path, f"{path}.copy")  # nobody has it open
    store = make()
    with store.write() as tx:
        tx.run(INSERT, text="ours")
    assert texts(store) == ["ours"]
    return store


@pytest.mark.parametrize("attack", [remove_the_sidecars, restore_a_copy])
def test_what_others_wrote_to_the_new_files_is_kept_when_we_close_and_open_again(used, make, neighbour, path, attack):
    """K9 (B12), to the standard H2: closing must not copy our dead log over their rows."""
    attack(path)
    stranger = neighbour(THEIRS)
    assert stranger.line() == str(ALL_THEIRS)
    for _ in range(2):
        with pytest.raises(Damaged), used.write():
            pass
    used.close()
    healed = make()
    assert [text for text in texts(healed) if text.startswith("theirs")] == ALL_THEIRS
    with healed.write() as tx:
        tx.run(INSERT, text="goes on")
    assert counts(healed)["goes on"] == 1


@pytest.mark.parametrize("attack", [remove_the_sidecars, restore_a_copy])
def test_a_commit_into_a_file_without_a_name_is_not_acknowledged(used, path, attack):
    """K9: the files go while a write is open, after it was admitted."""
    with pytest.raises(Damaged), used.write() as tx:
        tx.run(INSERT, text="into nowhere")
        attack(path)
    with pytest.raises(Damaged), used.write():
        pass
    used.close()


def test_nobody_in_a_group_is_told_that_a_lost_commit_is_kept(used, path):
    """K9, for those who share the commit."""
    with pytest.raises(Damaged), used.write() as tx:
        late = used.submit(lambda tx: tx.run(INSERT, text="with the others"))
        while not used._core.baton._line.wanted:  # bounded: it does nothing before it queues
            assert not late._future.done()
        tx.run(INSERT, text="first")
        remove_the_sidecars(path)
    with pytest.raises(Damaged):
        late.result(30)
    used.close()


def test_a_second_name_of_the_file_is_found_before_a_write_and_refused(used, neighbour, path, tmp_path):
    """K9 (B13): who opens it by the other name has a log of his own, and two histories."""
    alias = tmp_path / "alias.db"
    os.link(path, alias)
    with pytest.raises(Refused, match=r"2 names \(hard links\)"), used.write():
        pass
    stranger = neighbour("connection = connect(sys.argv[2]); add(connection, 'theirs'); say('done'); hear()", alias)
    assert stranger.line() == "done"
    stranger.kill()
    with pytest.raises(Refused, match="hard links"), used.write():
        pass
    for name in tmp_path.glob("alias.db*"):
        name.unlink()
    with used.write() as tx:
        tx.run(INSERT, text="goes on")
    assert texts(used) == ["ours", "goes on"]


def test_a_symbolic_link_is_the_same_file(used, neighbour, path, tmp_path):
    """B13: both SQLites look where it leads."""
    alias = tmp_path / "alias.db"
    os.symlink(path, alias)
    before = inodes(path)
    stranger = neighbour(
        "connection = connect(sys.argv[2]); add(connection, 'theirs'); connection.close(); say('done')", alias
    )
    assert stranger.line() == "done"
    with Store.open(alias, clock=lambda: 1, durability="normal") as same:
        assert texts(same) == ["ours", "theirs"]
    assert inodes(path) == before


def test_a_directory_that_is_gone_stops_writing_with_the_name_of_what_is_gone(used, path, tmp_path):
    moved = tmp_path.parent / f"{tmp_path.name} moved"
    os.rename(tmp_path, moved)
    with pytest.raises(Damaged, match=r"state\.db is gone"), used.write():
        pass
    os.rename(moved, tmp_path)
    with pytest.raises(Damaged), used.write():  # whatever happened meanwhile, nobody looked
        pass
    used.close()
    with Store.open(path, clock=lambda: 1, durability="normal") as again:
        assert texts(again) == ["ours"]


def test_a_directory_that_became_a_file_is_told_as_damage_and_not_as_a_fault_of_ours(used, path, tmp_path):
    moved = tmp_path.parent / f"{tmp_path.name} moved"
    with pytest.raises(Damaged, match=r"state\.db cannot be looked at"), used.write() as tx:
        tx.run(INSERT, text="into nowhere")
        os.rename(tmp_path, moved)
        tmp_path.write_bytes(b"")
    tmp_path.unlink()
    os.rename(moved, tmp_path)


AS_NOBODY = """
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)  # root may write anywhere
def told(attempt):
    try: return attempt()
    except HoldfastError as error: return type(error).__name__
"""


@pytest.fixture
def public(tmp_path_factory, path):
    """Copy the database where every user may look for it."""
    for folder in [tmp_path_factory.getbasetemp(), *tmp_path_factory.getbasetemp().parents[:-1]]:
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    os.chmod(os.path.dirname(path), 0o711)
    return path


def test_files_of_another_user_are_looked_at_or_refused_and_never_changed(used, public, ours):
    """An -shm that may not be written, or not even read: the log cannot be read safely."""
    looking = ours(
        """
Store.open  # all that is imported later must be read by root
import ctypes
for suffix in ("", "-wal"): os.chmod(PATH + suffix, 0o644)
say("ready"); hear()
"""
        + AS_NOBODY
        + """
def look():
    with Store.peek(PATH, clock=wall_ms) as peek: return texts(peek)
say(told(look)); hear()
say(told(look))
say(told(lambda: Store.open(PATH, clock=wall_ms)))
"""
    )
    assert looking.line() == "ready"
    os.chmod(f"{public}-shm", 0o600)
    looking.tell()
    assert looking.line() == "Unsupported"
    os.chmod(f"{public}-shm", 0o644)
    looking.tell()
    assert looking.lines() == ["['ours']", "Unsupported"]
    with used.write() as tx:
        tx.run(INSERT, text="undisturbed")
    assert texts(used) == ["ours", "undisturbed"]


def test_a_child_that_keeps_an_inherited_store_has_one_of_its_own(make, ours):
    """K8 (B16): the parent closes its own and takes the log with it; what the child writes is there."""
    make().close()
    parent = ours("""
store = Store.open(PATH, clock=wall_ms, durability="normal")
add(store, "parent"); texts(store)
closed, may = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(closed, 1)
    add(store, "child")
    say(texts(store)); store.close(); os._exit(0)
store.close()
os.write(may, b"!")
say(os.waitpid(pid, 0)[1])
""")
    assert parent.lines() == ["['parent', 'child']", "0"]
    assert counts(make()) == {"parent": 1, "child": 1}


def test_a_child_forked_in_a_write_keeps_nobody_out_when_its_parent_dies(make, ours):
    """K8: our second locks belong to descriptors, and those are the child's too."""
    store = make()
    parent = ours("""
store = Store.open(PATH, clock=wall_ms, durability="normal")
texts(store)
forked, up = os.pipe()
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('lost')"))
    pid = os.fork()
    if pid == 0:
        os.write(up, b"!")
        hear()
        os._exit(0)
    os.read(forked, 1)
    say(pid)
    os.kill(os.getpid(), signal.SIGKILL)
""")
    orphan = int(parent.line())
    parent.process.wait(60)
    os.kill(orphan, 0)
    with store.write(wait_ms=0) as tx:
        tx.run(INSERT, text="free")
    assert texts(store) == ["free"]


RECORDED = """
asked = []
class Files(apsw.VFS):
    def __init__(self): super().__init__("recorder", "unix", makedefault=True)
    def xDelete(self, name, sync):
        asked.append(f"unlink {name}"); return super().xDelete(name, sync)
    def xOpen(self, name, flags): return File("unix", name, flags)
class File(apsw.VFSFile):
    def __init__(self, vfs, name, flags):
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__(vfs, name, flags)
    def xTruncate(self, size):
        asked.append(f"truncate {self.name}"); return super().xTruncate(size)
files = Files()
"""


def test_no_file_is_unlinked_or_cut_short_while_another_process_has_it(make, ours, neighbour, path):
    """K14: what strace would show of open, close and use, told by the layer that makes the calls."""
    make().close()
    other = neighbour("connection = connect(); add(connection, 'theirs'); say('attached'); hear(); connection.close()")
    assert other.line() == "attached"
    before = inodes(path)
    recorded = ours(
        RECORDED
        + """
for _ in range(10):
    with Store.open(PATH, clock=wall_ms, durability="normal") as store: add(store, "ours"); texts(store)
    with Store.peek(PATH, clock=wall_ms) as peek: texts(peek)
say(asked)
say("attached"); hear()
"""
    )
    assert recorded.line() == "[]"
    assert inodes(path) == before
    assert os.stat(f"{path}-shm").st_size >= 32_768
    recorded.tell()
    recorded.wait()
    other.tell()
    other.wait()


# --- Each of the above must be able to fail ---


def test_without_the_look_at_the_files_a_lost_commit_is_acknowledged(used, path, monkeypatch):
    monkeypatch.setattr(used._core.files, "look", lambda: 0)
    remove_the_sidecars(path)
    with used.write() as tx:
        tx.run(INSERT, text="into nowhere")
    monkeypatch.undo()
    used.close()
    with Store.open(path, clock=lambda: 1, durability="normal") as again:
        assert "into nowhere" not in texts(again)


def test_the_recorder_records(ours, path):
    recorded = ours(RECORDED + "Store.open(PATH, clock=wall_ms).close(); say('unlink ' + PATH + '-wal' in asked)")
    assert recorded.line() == "True"
