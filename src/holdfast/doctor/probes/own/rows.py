"""What must be true of the rows of ``state.db`` and ``cache.db``: the probes of each subject, asked without a trace.

Each probe sees one moment, while others write for 250 ms at most. What they say of
one kind becomes one finding, which counts and names the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from holdfast import findings, schema
from holdfast.board import probes as board
from holdfast.cache.probes import probes as cache_probes
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.own.places import CACHE_DB, STATE_DB, database
from holdfast.doctor.probes.reading import Reading, reading
from holdfast.doctor.probes.wording import sentence
from holdfast.engine import Read
from holdfast.errors import Damaged, Refused, Unsupported
from holdfast.findings import Sure
from holdfast.holds.probes import probes as hold_probes
from holdfast.ingest.probes import probes as ingest_probes
from holdfast.jobs.probes import probes as job_probes
from holdfast.memory.probes import probes as memory_probes
from holdfast.sqlite.unread import UnreadError
from holdfast.threads.probes import probes as thread_probes
from holdfast.tools.probes import probes as tool_probes

Probes = Callable[[Read], Iterable[findings.Finding]]

ROOMS: Final[dict[str, tuple[Probes, ...]]] = {
    "holds": (hold_probes,),
    "jobs": (job_probes,),
    "threads": (thread_probes,),
    "files": (ingest_probes,),
    "tools": (tool_probes,),
    "memories": (memory_probes,),
    "board": board.PARTS,
}
"""Of ``state.db``, by the name of their probe: ``own-holds``, ... Each is asked of one moment."""

_SHOWN = 3
_LISTED = 20

_FAILS = frozenset({"hold-epoch", "hold-fence", "job-epoch", "job-fence", "task-epoch", "task-fence"})
"""With these a fence may be given twice, so that two do the same work. All others cost less."""

_REFOLDED = (
    "thread-file", "thread-missing", "thread-preview", "thread-label", "said-still", "file-", "tool-list-missing",
    "tool-list-unreadable",
)  # fmt: skip
"""Codes that begin so are cured by folding every rollout again."""

_FOLLOWS = "Something other than holdfast wrote to the file, or an older copy of it was put back."


def of_room(name: str) -> Callable[[SqlLook], Iterator[Finding]]:
    """Return the probe of one subject."""

    def look_at(look: SqlLook) -> Iterator[Finding]:
        slow = None
        for probes in ROOMS[name]:
            try:
                yield from _asked(look, STATE_DB, "sqlite", probes)
            except UnreadError as error:  # the others may be done in time
                slow = slow or error
        if slow is not None:
            raise slow

    look_at.__doc__ = f"What is wrong with the rows of {name}."
    return look_at


def cache(look: SqlLook) -> Iterator[Finding]:
    """What is wrong with the counts of ``cache.db``."""
    yield from _asked(look, CACHE_DB, "cache", cache_probes)


def shape(look: SqlLook) -> Iterator[Finding]:
    """Whether the file has the shape this version knows. Without it the subjects are not asked, which this says."""
    for name, tree in ((STATE_DB, "sqlite"), (CACHE_DB, "cache")):
        found = database(look, name)
        if found is None:
            continue
        with reading(look, found) as tx:
            if tx is None:
                continue
            status, why = _shape(tx, found.path, tree)
        if why:
            yield Finding(
                id="own-shape",
                status=status,
                path=found.path,
                measured=sentence(why),
                expected=f"The {len(schema.migrations(tree))} migrations of this version, by their words.",
                confidence=Confidence.CERTAIN,
                cause="It was last opened by another version of holdfast."
                if status == Status.PARTIAL
                else "The file is not what holdfast made of it.",
                remedy="Open it with the version of holdfast that is to use it: an older shape is brought forward then."
                if status == Status.PARTIAL
                else "Leave it as it is. `holdfast restore` puts a copy from backups/ in its place, and keeps it.",
                row="F15",
                details={"migrations": len(schema.migrations(tree))},
            )


def _asked(look: SqlLook, name: str, tree: str, probes: Probes) -> Iterator[Finding]:
    found = database(look, name)
    if found is None:
        return
    with reading(look, found) as tx:
        if tx is None or _shape(tx, found.path, tree)[1]:
            return  # that it cannot be read, or is of another version, is said once
        said = list(probes(tx))
    yield from told(found.path, said)


def _shape(tx: Reading, path: str, tree: str) -> tuple[Status, str]:
    """Return what is wrong with the shape, in words; no words when it is today's."""
    try:
        done = schema.applied(tx, path, tree)
    except Unsupported as error:
        return Status.PARTIAL, str(error)
    except (Damaged, Refused) as error:
        return Status.FAIL, str(error)
    known = len(schema.migrations(tree))
    return Status.PARTIAL, f"it has {done} of {known} migrations" if done < known else ""


def told(path: str, said: Iterable[findings.Finding]) -> Iterator[Finding]:
    """Yield what probes of ours said about the rows of ``path``, one finding for each code."""
    by_code: dict[str, list[findings.Finding]] = {}
    for each in said:
        by_code.setdefault(each.code, []).append(each)
    for code, all_of_it in by_code.items():
        first = all_of_it[0]
        shown = "; ".join(f"{each.subject}: {each.measured}" for each in all_of_it[:_SHOWN])
        more = len(all_of_it) - _SHOWN
        subjects: list[Json] = [each.subject for each in all_of_it[:_LISTED]]
        yield Finding(
            id=f"own-{code}",
            status=Status.FAIL if code in _FAILS else Status.WARN,
            path=path,
            measured=sentence(shown + (f"; and {more} more" if more > 0 else "")),
            expected=sentence(first.expected),
            confidence=Confidence.CERTAIN if first.sure == Sure.CERTAIN else Confidence.LIKELY,
            cause=_FOLLOWS,
            remedy=first.remedy,
            repair="refold" if code.startswith(_REFOLDED) else None,
            details={"count": len(all_of_it), "subjects": subjects},
        )
