"""Any operations in any order, by two processes, some killed in the middle: what is listed is what was done."""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path

import pytest
from home_model import SPAWNED, Model

import holdfast
from holdfast import receipts
from homes import MadeHome
from processes import Child
from rows import statement

# A process with a handle of its own. `die_at`: it kills itself with the call of that number, wherever that is.
WORKER = """
import json, os, signal
import holdfast
home, state_dir = sys.argv[1:]
state = holdfast.open(home, state_dir=state_dir, search=False)
threads, in_home = state.threads, state.in_home

def place(change):
    return change and change.receipt

def see(ids):
    listed = {t.id: [t.name, t.archived] for is_archived in (False, True) for t in threads.list(archived=is_archived)}
    got = {id: [t.name, t.archived] for id in ids if (t := threads.get(id)) and t.missing_since_ms is None}
    found = [id for id in ids if (at := threads.find(id)) and at.verified and os.path.exists(at.file)]
    return [listed, got, found, [t.id for t in threads.list(archived=None, deleted=True)]]

DO = {
    "rename": lambda *said: threads.rename(*said) is not None,
    "archive": lambda id: threads.archive(id) is not None,
    "unarchive": lambda id: threads.unarchive(id) is not None,
    "delete": lambda id: threads.delete(id) is not None,
    "undelete": lambda id: threads.undelete(id) is not None,
    "rename_in_home": lambda *said: place(in_home.rename(*said)),
    "archive_in_home": lambda id: place(in_home.archive(id)),
    "unarchive_in_home": lambda id: place(in_home.unarchive(id)),
    "delete_in_home": lambda id: place(in_home.delete(id)),
    "undo": lambda receipt: in_home.undo(receipt) is not None,
    "finish": lambda receipt: in_home.finish(receipt) is not None,
    "index": lambda: len(state.index()),
    "backup": lambda: state.backup().path,
    "see": see,
}
say("ready")
while True:
    what, given, die_at = json.loads(hear())
    calls = 0
    def count(*_):
        global calls
        calls += 1
        if calls == die_at: os.kill(os.getpid(), signal.SIGKILL)
    if die_at: sys.setprofile(count)
    try: answer = DO[what](*given)
    finally: sys.setprofile(None)
    say(json.dumps(answer))
"""

BESIDE = ("rename", "archive", "unarchive", "delete", "undelete")
IN_HOME = ("rename_in_home", "archive_in_home", "unarchive_in_home", "delete_in_home", "undo")
AGENT = ("append", "pack", "unpack")
WHOLE = ("index", "backup", "restore", "restore_exact", "rebuild")
KILLED = None


class Trial:
    """One home, two processes, and the model of what they did."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.home, self.state_dir = MadeHome(folder / "home"), folder / "state"
        parents = {child: parent for parent, spawned in SPAWNED.items() for child in spawned}
        self.ids: list[str] = []
        for at in SPAWNED:
            parent = self.ids[parents[at]] if at in parents else None
            self.ids.append(self.home.thread(f"words of {at}", parent=parent))
        self.model = Model()
        self.receipts: list[tuple[str, Model, list[tuple[object, ...]]]] = []
        self.backups: list[tuple[str, Model]] = []
        self.done: list[object] = [seed]
        self.workers = [self._worker(), self._worker()]

    def step(self) -> None:
        what = self.random.choice(BESIDE * 2 + IN_HOME * 2 + AGENT + WHOLE)
        at, who = self.random.randrange(len(SPAWNED)), self.random.randrange(2)
        die_at = self.random.choice((0, 0, self.random.randrange(1, 6_000), self.random.randrange(1, 900)))
        self.done.append((what, at, who, die_at))
        before = copy.deepcopy(self.model)
        if what in BESIDE or (what in IN_HOME and what != "undo"):
            name = [self.random.choice(("", f"name {len(self.done)}")) if what == "rename" else f"n{len(self.done)}"]
            given = name if "rename" in what else []
            did = getattr(self.model, what)(at, *given)
            answer = self._ask(who, what, self.ids[at], *given, die_at=die_at)
            if answer is not KILLED:
                assert bool(answer) is did, self.done
                if did and what in IN_HOME:
                    self.receipts.append((answer, before, self.model.files()))
        elif what == "undo":
            if not self.receipts or self.receipts[-1][2] != self.model.files():
                return
            receipt, was, _ = self.receipts.pop()
            self.model.undo(was)
            answer = self._ask(who, what, receipt, die_at=die_at)
        elif what in AGENT:
            answer = self._agent(what, at, who)
        elif what in ("index", "backup"):
            answer = self._ask(who, what, die_at=die_at)
            if what == "backup" and answer is not KILLED:
                self.backups.append((answer, before))
        else:
            answer = self._with_nobody_there(what)
        if answer is KILLED:
            self._go_on_after_a_kill(who, before)
        self.check()

    def check(self) -> None:
        for who in (0, 1):
            assert self._see(who) == self._must_be_seen(self.model), (who, self.done)

    def end(self) -> None:
        for worker in self.workers:
            worker.end()

    def _see(self, who: int) -> list[object]:
        listed, got, found, hidden = self._ask(who, "see", self.ids)
        return [listed, got, sorted(found), sorted(hidden)]

    def _must_be_seen(self, model: Model) -> list[object]:
        seen = {self.ids[at]: one for at, one in model.listed().items()}
        return [seen, seen, sorted(seen), sorted(self.ids[at] for at in model.hidden())]

    def _agent(self, what: str, at: int, who: int) -> object:
        files = self.home.files(self.ids[at])
        if not files or (files[0].suffix == ".zst") is not (what == "unpack"):
            return True
        more = [f"more {len(self.done)}"] if what == "append" else []
        getattr(self.home, what)(self.ids[at], *more)
        self.receipts.clear()  # the file is another one now
        return self._ask(who, "index")

    def _with_nobody_there(self, what: str) -> object:
        self.end()
        self.backups = [each for each in self.backups if Path(each[0]).exists()]
        if what == "rebuild":
            holdfast.rebuild(self.home, state_dir=self.state_dir)
            self.model.rebuild()
            self.backups.clear()
        elif self.backups:
            path, then = self.random.choice(self.backups)
            report = holdfast.restore(path, state_dir=self.state_dir, exact=what == "restore_exact")
            assert report.findings == (), self.done
            if what == "restore_exact":
                self.model.restore_exact(then)
                self.backups = [(path, then)]  # the others are of another history
        self.workers = [self._worker(), self._worker()]
        return True

    def _go_on_after_a_kill(self, who: int, before: Model) -> None:
        """Everything was done, or nothing; or the files were, and the row is a step behind."""
        self.workers[who].end()
        self.workers[who] = self._worker()
        for receipt in receipts.listing(str(self.state_dir / "receipts")):
            if receipt.state == "unfinished":
                assert self._ask(who, self.random.choice(("undo", "finish")), receipt.id)
        self._ask(who, "index")
        files_only = copy.deepcopy(self.model)
        for one, was in zip(files_only.threads, before.threads, strict=True):
            one.name_said, one.archived_said = was.name_said, was.archived_said
        seen = self._see(who)
        fitting = [each for each in (before, self.model, files_only) if self._must_be_seen(each) == seen]
        assert fitting, self.done
        self.model = fitting[0]
        # Two that look alike may differ in what was said and the files say, too: the rows know which it is.
        for at, (name, archived, deleted) in enumerate(self._said()):
            one = self.model.threads[at]
            one.name_said, one.archived_said = name, None if archived is None else bool(archived)
            assert (one.deleted is None) is (deleted is None), self.done
        self.receipts.clear()
        self.backups.clear()

    def _said(self) -> list[tuple[object, object, object]]:
        with holdfast.peek(self.home, state_dir=self.state_dir) as state, state.read() as tx:
            rows = {
                row["thread_id"].hex(): (row["name_said"], row["archived_said"], row["deleted_said_ms"])
                for row in tx.rows(
                    statement("SELECT thread_id, name_said, archived_said, deleted_said_ms FROM threads")
                )
            }
        return [rows.get(id.replace("-", ""), (None, None, None)) for id in self.ids]

    def _worker(self) -> Child:
        worker = Child(WORKER, self.home, self.state_dir)
        assert worker.line() == "ready", self.done
        return worker

    def _ask(self, who: int, what: str, *given: object, die_at: int = 0) -> object:
        self.workers[who].tell(json.dumps([what, given, die_at]))
        said = self.workers[who].line()
        if not said:
            assert die_at, self.done  # nobody but the test ends it
            return KILLED
        return json.loads(said)


def attempt(folder, seed, steps):
    trial = Trial(folder, seed)
    try:
        for _ in range(steps):
            trial.step()
    finally:
        trial.end()


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_listed_is_what_was_done_in_whatever_order(tmp_path, seed):
    attempt(tmp_path, seed, 20)


@pytest.mark.torture
def test_what_is_listed_is_what_was_done_hundreds_of_times(tmp_path):
    first = int(os.environ.get("HOLDFAST_SEED", random.randrange(1 << 30)))
    print(f"seed {first}")
    for seed in range(first, first + 300):
        attempt(tmp_path / str(seed), seed, 40)
