"""Homes for tests: as real Codex left them, or written line by line; and proof that nobody else changed them."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from holdfast import ids

FIXTURES = Path(__file__).parent / "fixtures"
NOON_MS = 1_795_262_400_000
"""2026-11-21T12:00:00Z: when the threads of a made home begin."""


def thread_id(number: int, created_ms: int = NOON_MS) -> str:
    """Return a UUIDv7 of that moment; larger numbers are larger ids."""
    return ids.text(created_ms.to_bytes(6, "big") + bytes((0x70, 0, 0x80, 0)) + number.to_bytes(6, "big"))


def iso(ms: int) -> str:
    """Return the time as a rollout spells it."""
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"


def seen(home: Path) -> dict[str, tuple[int, int, int, int, str]]:
    """Return all of a home that a look must not change: names, modes, inodes, times, contents."""
    found = {}
    for path in [home, *sorted(home.rglob("*"))]:
        info = path.lstat()
        content = blake2b(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(home))] = (info.st_mode, info.st_ino, info.st_mtime_ns, info.st_ctime_ns, content)
    return found


class MadeHome:
    """A home, and the only one who may change it: every change goes through a method, and is remembered.

    ``unchanged`` is what ``seen`` must say of it at the end of a test.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.path.mkdir(parents=True, exist_ok=True)
        self.numbers = 0
        self.unchanged = seen(self.path)

    @classmethod
    def recorded(cls, version: str, folder: Path) -> MadeHome:
        """Unpack what Codex of this version left behind."""
        with tarfile.open(FIXTURES / f"codex-home-{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return cls(folder / f"codex-home-{version}")

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """Fail when anybody but a method of this object changed the home."""
        if self.path.exists():
            assert seen(self.path) == self.unchanged

    def change(self, do: Callable[[], Any]) -> Any:
        """Do something to the home as its agent, or its owner, would."""
        done = do()
        if self.path.exists():
            self.unchanged = seen(self.path)
        return done

    # --- threads -------------------------------------------------------------

    def thread(
        self,
        *words: str,
        id: str | None = None,
        created_ms: int = NOON_MS,
        updated_ms: int | None = None,
        turn_ms: int | None = None,
        cwd: str | None = "/home/dev/src/made",
        provider: str | None = "mock",
        source: Any = "cli",
        archived: bool = False,
        paginated: bool = False,
        forked_from: str | None = None,
        base: tuple[str, int] | None = None,
        copied: Iterable[str] = (),
        parent: str | None = None,
        folder: str | None = None,
        begins: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> str:
        """Write one thread and return its id.

        ``words`` are the user's, one turn each; the last line is of
        ``updated_ms``, turns begin at ``turn_ms``. ``base`` is ``(thread,
        first ordinal that is not its any more)``; ``copied`` are lines of the
        origin that a fork brings along. ``folder`` is where the file lies.
        """
        self.numbers += 1
        id = id or thread_id(self.numbers, created_ms)
        updated_ms = created_ms + 1_000 * len(words) if updated_ms is None else updated_ms
        ordinal = base[1] if base else 0

        def line(ms: int, kind: str, payload: Mapping[str, Any]) -> str:
            nonlocal ordinal
            numbered = {"ordinal": ordinal} if paginated else {}
            ordinal += 1
            return json.dumps({"timestamp": iso(ms), **numbered, "type": kind, "payload": payload})

        meta = {
            "id": id,
            "session_id": id,
            "timestamp": iso(created_ms),
            "cwd": cwd,
            "originator": "made",
            "cli_version": "0.169.0",
            "source": source,
            "model_provider": provider,
            "history_mode": "paginated" if paginated else None,
            "forked_from_id": forked_from,
            "parent_thread_id": parent,
            "history_base": {"thread_id": base[0], "end_ordinal_exclusive": base[1]} if base else None,
            **(more or {}),
        }
        meta = {key: value for key, value in meta.items() if value is not None}
        lines = [line(created_ms, "session_meta", meta), *copied]
        for number, said in enumerate(words, start=1):
            ms = updated_ms if number == len(words) else created_ms
            began = turn_ms if turn_ms is not None else ms
            lines.append(line(began, "event_msg", {"type": "task_started", "turn_id": f"{id}-{number}"}))
            lines.append(line(ms, "event_msg", _user(said, id, paginated=paginated)))
        if not words and updated_ms != created_ms:
            lines.append(line(updated_ms, "event_msg", {"type": "agent_message", "message": "so it is"}))
        if folder is None:
            folder = "archived_sessions" if archived else f"sessions/{iso(created_ms)[:10].replace('-', '/')}"
        path = self.path / folder
        file = path / f"rollout-{iso(created_ms)[:19].replace(':', '-')}-{id}.jsonl"

        def write() -> None:
            path.mkdir(parents=True, exist_ok=True)
            file.write_text(begins + "".join(f"{each}\n" for each in lines), encoding="utf-8")
            os.utime(file, ns=(updated_ms * 1_000_000, updated_ms * 1_000_000))

        self.change(write)
        return id

    def file(self, id: str) -> Path:
        """Return the file of a thread, in whichever place and spelling it exists."""
        (found,) = self.files(id)
        return found

    def files(self, id: str = "") -> list[Path]:
        """Return the rollouts, all or those whose name ends in ``id``."""
        return sorted(path for path in self.path.rglob(f"rollout-*{id}.jsonl*") if path.is_file())

    def append(self, id: str, *words: str, ms: int = NOON_MS + 60_000, ends: str = "\n") -> None:
        """Go on with a (legacy) thread: another turn."""
        file = self.file(id)
        lines = [
            json.dumps({"timestamp": iso(ms), "type": "event_msg", "payload": _user(said, id, paginated=False)})
            for said in words
        ]

        def write() -> None:
            with file.open("a", encoding="utf-8") as out:
                out.write("\n".join(lines) + ends)

        self.change(write)

    # --- what happens to files -------------------------------------------------

    def delete(self, id: str) -> None:
        self.change(self.file(id).unlink)

    def move(self, id: str, folder: str) -> None:
        """Move a thread's file to another folder of the home: ``archived_sessions`` archives it, as Codex does."""
        file = self.file(id)
        to = self.path / folder

        def move() -> None:
            to.mkdir(parents=True, exist_ok=True)
            file.rename(to / file.name)

        self.change(move)

    def copy(self, id: str, folder: str, *, also: str = "") -> Path:
        """Copy a thread's file into another folder, with ``also`` behind it; it keeps the times it has."""
        file = self.file(id)
        to = self.path / folder / file.name

        def copy() -> None:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, to)
            if also:
                with to.open("a", encoding="utf-8") as out:
                    out.write(also)

        self.change(copy)
        return to

    def write(self, file: Path, content: bytes) -> None:
        self.change(lambda: file.write_bytes(content))

    def pack(self, id: str) -> None:
        """Replace the file by its ``.zst``, as Codex does with cold ones."""
        from backports import zstd

        file = self.file(id)

        def pack() -> None:
            Path(f"{file}.zst").write_bytes(zstd.compress(file.read_bytes()))
            file.unlink()

        self.change(pack)

    def unpack(self, id: str) -> None:
        from backports import zstd

        file = self.file(id)

        def unpack() -> None:
            Path(str(file).removesuffix(".zst")).write_bytes(zstd.decompress(file.read_bytes()))
            file.unlink()

        self.change(unpack)

    def name(self, id: str, name: str, ms: int = NOON_MS) -> None:
        """Add a line to the names file."""

        def write() -> None:
            with (self.path / "session_index.jsonl").open("a", encoding="utf-8") as out:
                out.write(json.dumps({"id": id, "thread_name": name, "updated_at": iso(ms)}) + "\n")

        self.change(write)


def line(ms: int, words: str) -> str:
    """Return a line of a legacy rollout in which the user says ``words``."""
    return json.dumps({"timestamp": iso(ms), "type": "event_msg", "payload": _user(words, "", paginated=False)}) + "\n"


def _user(words: str, id: str, *, paginated: bool) -> dict[str, Any]:
    if not paginated:
        return {"type": "user_message", "message": words, "images": []}
    item = {"type": "UserMessage", "id": "item", "content": [{"type": "text", "text": words, "text_elements": []}]}
    return {"type": "item_completed", "thread_id": id, "turn_id": f"{id}-1", "item": item}
