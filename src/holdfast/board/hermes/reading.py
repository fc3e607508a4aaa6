"""A Hermes board read from its first row to its last: for the process that does nothing else (``read_worker``)."""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from holdfast.board.exchange.model import BoardFacts, Card, CardParent
from holdfast.board.exchange.rules import Order, parents_first
from holdfast.board.hermes import rules
from holdfast.board.hermes.carding import Belongings, Made, card, file
from holdfast.board.hermes.model import Answer, Began, Cards, Ended, FileRead, ReadRequest
from holdfast.board.hermes.values import Odd, Value, plain
from holdfast.errors import Damaged
from holdfast.findings import Finding
from holdfast.sqlite.taken import Row, Taken, taken

_BATCH = 100
_BATCH_CHARS = 1 << 20
_SHOWN = 80
_BELONGINGS = ("task_comments", "task_runs", "task_events", "task_attachments", "kanban_notify_subs")


def read(request: ReadRequest) -> Iterator[Answer]:
    """Yield the board, its tasks with parents first, and its files. Raises ``HoldfastError``."""
    with taken(request.place.db) as copy:
        yield from _Reading(copy, request).answers()


class _Reading:
    def __init__(self, copy: Taken, request: ReadRequest) -> None:
        self._copy = copy
        self._place = request.place
        self._files = request.attachments
        self._bytes_max = request.file_bytes_max
        self._slug = request.place.slug
        self._findings: list[Finding] = []
        self._columns: dict[str, list[str]] = {}
        self._rowids: dict[str, int] = {}
        """Of each task its row, by the name it has here, in the order of the table."""
        self._aliases: dict[str, str] = {}
        self._put_away: set[str] = set()
        self._with_files: dict[str, list[Row]] = {}

    def answers(self) -> Iterator[Answer]:
        """Yield everything."""
        board = self._board()
        self._look_over()
        keys = self._keys()
        parents = self._parents()
        files = self._copy.count("task_attachments") if "task_attachments" in self._columns else 0
        yield Began(board=board, tasks=len(self._rowids), files=files)
        cards: list[Card] = []
        findings: list[Finding] = []
        chars = 0
        order = parents_first(list(self._rowids), [(up, down) for down, ups in parents.items() for up in ups])
        self._tell_links(order)
        left_out = set(order.dangling) | set(order.cyclic)
        for key in order.keys:
            ups = [up for up in parents.get(key, ()) if (up, key) not in left_out]
            made = self._card(key, ups, keys)
            if made is None:
                continue
            cards.append(made.card)
            findings += made.findings
            chars += len(made.card.body) + sum(len(each.body) for each in made.card.comments) + 500
            if len(cards) == _BATCH or chars > _BATCH_CHARS:
                yield Cards(cards=cards, findings=findings)
                cards, findings, chars = [], [], 0
        yield Cards(cards=cards, findings=findings)
        for key, rows in self._with_files.items():
            yield from self._file_reads(key, rows)
        self._tell_strangers()
        self._tell_mended()
        yield Ended(findings=self._findings)

    # --- what there is -------------------------------------------------------

    def _look_over(self) -> None:
        copy = self._copy
        tables = copy.tables()
        if "tasks" not in tables:
            raise Damaged(
                f"{self._place.db} is no board of Hermes: it has no table tasks, but {', '.join(tables) or 'none'}",
                remedy="Name the kanban.db of a board.",
            )
        for problem in copy.problems:
            self._say("damaged", self._place.db, problem, "a sound database", "What could be read was imported.")
        for table, how_far in copy.lost.items():
            self._say("rows-lost", table, how_far, "all rows", "Import again from a whole copy, if there is one.")
        for table, column in rules.TABLES.items():
            if table not in tables:
                self._say("table-missing", table, "it is not there", "a table of Hermes", "An older version had none.")
                continue
            self._columns[table] = copy.columns(table)
            if column in self._columns[table]:
                copy.index(table, column)
            else:
                del self._columns[table]
                self._say("column-missing", table, f"no column {column}", "whose each row is", "It was left out.")
        for table in set(tables) - rules.TABLES.keys():
            rows = copy.count(table)
            self._say("table-unknown", table, f"{rows} rows", "a table of Hermes", "It was left out.")

    def _board(self) -> BoardFacts:
        """Return what ``board.json`` says; a board need not have one."""
        made = BoardFacts(slug=self._slug, name=self._slug)
        try:
            with open(self._place.board_json, "rb") as json:
                found = msgspec.json.decode(json.read(1 << 20))
        except FileNotFoundError:
            return made
        except (OSError, msgspec.DecodeError, UnicodeError) as error:
            self._say("board-json", self._place.board_json, str(error), "a board's name", "It is called by its slug.")
            return made
        odd = Odd(self._place.board_json)
        row: dict[str, Value] = found if isinstance(found, dict) else {}
        made.name = odd.text(row, "name") or self._slug
        made.description = odd.text(row, "description")
        made.workdir = odd.text(row, "default_workdir") or None
        made.created_ms = odd.time(row, "created_at")
        if row.get("archived"):
            made.archived_ms = made.created_ms or 0
        self._findings += odd.findings
        return made

    def _keys(self) -> set[str]:
        """Note every task by name; return those whose idempotency key is their own."""
        wanted = [name for name in ("id", "idempotency_key", "status", "created_at") if name in self._columns["tasks"]]
        newest: dict[str, tuple[float, str]] = {}
        for page in self._copy.pages("tasks", wanted):
            for row in page:
                rowid = int(str(row["rowid"]))
                name = "" if row["id"] is None else str(plain(row["id"]))
                key = name
                if not name or name in self._rowids:
                    key = f"{name or 'task'} (row {rowid})"
                    measured = "its id is that of another row, too" if name else "it has no id"
                    self._say("task-id", f"{self._slug}/{key}", measured, "an id of its own", "Called by its row.")
                self._rowids[key] = rowid
                idempotency = row.get("idempotency_key")
                if isinstance(idempotency, str) and idempotency and row.get("status") != "archived":
                    at = row.get("created_at")
                    moment = float(at) if isinstance(at, (int, float)) else 0.0
                    if idempotency not in newest or newest[idempotency][0] <= moment:
                        newest[idempotency] = (moment, key)
        return {key for _, key in newest.values()}

    def _parents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        if "task_links" not in self._columns or "parent_id" not in self._columns["task_links"]:
            return found
        for page in self._copy.pages("task_links", ["parent_id", "child_id"]):
            for row in page:
                found[str(plain(row["child_id"]))].append(str(plain(row["parent_id"])))
        return found

    def _tell_links(self, order: Order[str]) -> None:
        for parent, child in order.dangling:
            missing = parent if parent not in self._rowids else child
            self._say("link-dangling", f"{parent} → {child}", f"there is no task {missing}", "both ends", "Left out.")
        for parent, child in order.cyclic:
            self._say("link-cycle", f"{parent} → {child}", "it closes a circle", "no circles", "Left out: nothing in it"
                      " could ever begin.")  # fmt: skip

    # --- a task, and its files -------------------------------------------------

    def _card(self, key: str, ups: list[str], keys: set[str]) -> Made | None:
        found = self._copy.rows("tasks", self._columns["tasks"], rowid=self._rowids[key])
        if not found:
            return None
        row = found[0]
        is_first = row.get("id") is not None and str(plain(row["id"])) == key
        of = {table: self._of(table, row["id"]) if is_first else [] for table in rules.TABLES}
        parents = [CardParent(id=up, gate="none" if up in self._put_away else "done") for up in dict.fromkeys(ups)]
        made = card(
            self._slug,
            key,
            row,
            Belongings(*(of[table] for table in _BELONGINGS)),
            parents,
            key in keys,
        )
        if made.card.archived_from == "todo":
            self._put_away.add(key)  # there a parent that was put away keeps nobody waiting
        if of["task_attachments"]:
            self._with_files[key] = of["task_attachments"]
        return made

    def _of(self, table: str, task: Value) -> list[Row]:
        if table in ("tasks", "task_links") or table not in self._columns:
            return []
        return self._copy.rows(table, self._columns[table], **{rules.TABLES[table]: task})

    def _file_reads(self, key: str, rows: list[Row]) -> Iterator[FileRead]:
        for row in sorted(rows, key=_number):
            odd = Odd(f"{self._slug}/{key}")
            about = file(odd, row, 0)
            if self._files:
                data = self._bytes(about.name, key, odd.text(row, "stored_path"))
                if data is not None:
                    if len(data) != about.size_bytes:
                        measured = f"{about.name} has {len(data)} bytes"
                        self._say("attachment-size", odd.subject, measured, f"{about.size_bytes}", "Taken as it is.")
                    about.size_bytes = len(data)
                    yield FileRead(card=key, file=about, data=data)

    def _bytes(self, name: str, key: str, stored: str) -> bytes | None:
        """Return an attachment's bytes, from where it was stored or, after a move of the board, beside it.

        Only from the board's own folder of attachments: a row may name any file of this machine.
        """
        root = os.path.realpath(self._place.attachments)
        beside = os.path.join(root, os.path.basename(key), os.path.basename(stored))
        why = "it lies outside of the board's attachments"
        for path in dict.fromkeys((os.path.realpath(stored), os.path.realpath(beside))):
            if os.path.commonpath([root, path]) != root or path == root:
                continue
            try:
                return _contents(path, self._bytes_max)
            except OSError as error:
                why = error.strerror or str(error)
        self._say(
            "attachment-missing",
            f"{self._slug}/{key}",
            f"{name} ({stored[:_SHOWN]}): {why}",
            f"a file below {root}",
            "Its name stays in the task's metadata.",
        )
        return None

    # --- what belongs to nothing -------------------------------------------------

    def _tell_strangers(self) -> None:
        for table, column in rules.TABLES.items():
            if table in ("tasks", "task_links") or table not in self._columns:
                continue
            for page in self._copy.strangers(table, self._columns[table], column, "tasks", "id"):
                for row in page:
                    shown = msgspec.json.encode({name: plain(value) for name, value in row.items()}).decode()
                    self._say(
                        "row-without-task",
                        f"{table} row {row['rowid']!r}",
                        shown,
                        "a task",
                        "Told here, and left out.",
                    )

    def _tell_mended(self) -> None:
        for table, rowid, column in self._copy.mended:
            self._say("not-utf8", f"{table} row {rowid}", f"{column} is no UTF-8", "UTF-8", r"Its bytes stand as \x….")

    def _say(self, code: str, subject: str, measured: str, expected: str, remedy: str) -> None:
        self._findings.append(Finding(f"hermes-{code}", subject, measured, expected, remedy))


def _contents(path: str, bytes_max: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as opened:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        data = opened.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, of at most {bytes_max}")
    return data


def _number(row: Row) -> int:
    found = row.get("id")
    return found if isinstance(found, int) else 0
