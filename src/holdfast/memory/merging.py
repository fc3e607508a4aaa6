"""Phase 2: the memories of all threads, put together in a few files. One at a time, whoever works.

The files are made in a folder of their own, under the fence of one hold, and
count when the row that names the folder is changed in the transaction that
confirms the hold. Killed before that, the old files count; after it, the new.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from holdfast import holds, jobs
from holdfast.engine import Engine, Write
from holdfast.errors import HoldfastError, Stale
from holdfast.holds import Denied, Hold
from holdfast.jobs import Claimed, Job, Kind
from holdfast.memory import artefacts, rules, store
from holdfast.memory.model import (
    USER,
    Memory,
    MergeReport,
    Model,
    OnProgress,
    Progress,
    Settings,
    Unavailable,
    ended_by,
)
from holdfast.memory.serializing import BYTES_PER_TOKEN

RESOURCE = "memory:merge"
SCOPE = (USER, USER)
LEASE_MS = 60_000
KIND = "memory:merge"
"""The job of a place is there only after a failure, for its rest: who works is said by the hold."""
_FIRST_REST_PART = 8
_ATTEMPTS_MAX = 1_000_000
_REST_MAX_MS = 24 * 3600 * 1000  # whatever a server asks for


def merge(
    engine: Engine,
    homes: Sequence[int],
    root: str,
    model: Model,
    settings: Settings,
    *,
    force: bool = False,
    stop: threading.Event | None = None,
    on_progress: OnProgress | None = None,
    lease_ms: int = LEASE_MS,
) -> MergeReport:
    """Put the memories of the scope ``user`` together in files below ``root``, when there is something new.

    Asks ``model`` once; not at all when nothing changed, or nothing is left.
    Within ``cooldown_ms`` of the last time nothing is done unless ``force``;
    what was forgotten or deleted does not wait for that. A model that fails,
    or gives files that may not be, leaves everything as it was: outcome
    ``failed``. Then it is not asked for a while (``resting``, unless
    ``force``): a few minutes at first, ``retry_ms`` at most.
    """
    artefacts.prepare(root)
    # A label of its own: two threads of one process are two workers.
    owner = holds.me(f"memory-merge-{threading.get_ident()}")
    answer = engine.submit(lambda tx: holds.take(tx, RESOURCE, owner, lease_ms=lease_ms)).result()
    if isinstance(answer, Denied):
        return MergeReport(outcome="running", by=holds.describe(answer.by))
    with holds.kept(engine, answer, lease_ms) as keeper:
        try:
            seen = _look(engine, homes, root, settings)
            report = seen.report()
            if not seen.is_due:
                engine.submit(lambda tx: _clean(tx, answer, seen), reserve=True).result()
            elif seen.rest is not None and not force:
                report.outcome, report.until_ms, report.problem = "resting", seen.rest.due_ms, seen.rest.failure
            elif seen.cooling_until_ms and not force:
                report.outcome, report.until_ms = "cooling", seen.cooling_until_ms
            else:
                if on_progress is not None:
                    on_progress(Progress("merge", 0, 1))
                files = _ask(model, seen, settings)
                keeper.check()
                if stop is not None and stop.is_set():
                    report.outcome = "stopped"
                else:
                    report.outcome = _publish(engine, homes, root, answer, seen, files)
                if report.outcome == "published":
                    report.folder = artefacts.folder_of(answer.fence)
                    if on_progress is not None:
                        on_progress(Progress("merge", 1, 1))
            _settle(engine, root, answer)
            return report
        except Stale as error:
            return MergeReport(outcome="lost", problem=str(error))
        except Exception as error:
            # A model is somebody's code, and a disk may be full: the old files count as before.
            text = str(error) if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"
            said = rules.clean(text, 1_000)
            rest = functools.partial(
                _rest, hold=answer, place=place_of(root), settings=settings, error=error, said=said
            )
            with suppress(HoldfastError):  # lost meanwhile, or no room
                engine.submit(rest, reserve=True).result()
            return MergeReport(outcome="failed", problem=said, ended_by=ended_by(error))


def fence_off(tx: Write) -> None:
    """Have whoever puts files together just now come too late."""
    taken = holds.take(tx, RESOURCE, holds.me("memory-reset"), lease_ms=1, stale_after_ms=0)
    if isinstance(taken, Hold):
        holds.release(tx, taken)


def key_of(place: str) -> str:
    """Return what the job is called that says why the files at ``place`` were not made."""
    return place[-1_000:]


def forget_failure(tx: Write, place: str) -> None:
    """Have the next run ask again at once."""
    jobs.forget(tx, KIND, key_of(place))


def _rest(tx: Write, hold: Hold, place: str, settings: Settings, error: BaseException, said: str) -> None:
    """Have nobody ask again for a while: longer each time, or as long as the server asked for."""
    holds.confirm(tx, hold)
    if ended_by(error) is not None and not (isinstance(error, Unavailable) and error.retry_in_ms):
        return  # no fault of what was asked: it may be mended by now
    kind = Kind(
        KIND, attempts_max=_ATTEMPTS_MAX, backoff_ms=settings.retry_ms // _FIRST_REST_PART,
        backoff_max_ms=settings.retry_ms,
    )  # fmt: skip
    claim = jobs.claim(tx, kind, key_of(place), hold.owner, stale_after_ms=0)
    if isinstance(claim, Claimed):
        asked_ms = min(error.retry_in_ms, _REST_MAX_MS) if isinstance(error, Unavailable) else None
        jobs.fail(tx, claim, said, retry_in_ms=asked_ms)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the files are made of, as one read transaction found it, and the files that count now."""

    place: str
    memories: list[Memory]
    dirty_ms: int
    before: store.Generation | None
    kept: dict[str, str]
    gone: bool
    cooling_until_ms: int | None
    rest: Job | None

    @property
    def made(self) -> dict[str, str]:
        """The files that a model made, or a person since. Of no use once something they may hold was forgotten."""
        return {} if self.gone else {path: text for path, text in self.kept.items() if not rules.is_input(path)}

    @property
    def notes_before(self) -> dict[str, str]:
        return {path: text for path, text in self.kept.items() if rules.is_input(path)}

    @property
    def notes(self) -> dict[str, str]:
        return rules.inputs(self.memories)

    @property
    def edited(self) -> list[str]:
        """The files that are not as they were published: a person's words."""
        files = self.before.files if self.before else {}
        return [path for path, text in self.made.items() if files.get(path) != rules.digest(text)]

    @property
    def is_due(self) -> bool:
        if self.before is None and not self.memories:
            return False  # files of nothing would keep the first real ones waiting for the cooldown
        return self.gone or self.notes != self.notes_before or bool(self.edited) or not rules.are_artefacts(self.made)

    def report(self) -> MergeReport:
        found = rules.changes(self.notes_before, self.notes)
        added, changed, removed = (sum(kind == each for each, _ in found) for kind in "AMD")
        return MergeReport(
            outcome="unchanged", selected=len(self.memories), added=added, changed=changed, removed=removed
        )


def place_of(root: str) -> str:
    """Return what the artefacts below ``root`` are called in the database: files are of one machine."""
    return f"{holds.me().host}:{root}"


def _look(engine: Engine, homes: Sequence[int], root: str, settings: Settings) -> _Seen:
    place = place_of(root)
    with engine.read() as tx:
        before = store.generation(tx, place)
        memories = store.wanted(tx, homes, SCOPE, settings)
        # Deleted, forgotten, not to be remembered any more: what was made of it must go. What is
        # only unused for long, or no longer among the first, leaves the notes, and is taken back line by line.
        gone = before is not None and not before.threads.keys() <= store.allowed(tx, homes, SCOPE)
        dirty_ms = store.dirty_scopes(tx).get(SCOPE, 0)
        until_ms = before.published_ms + settings.cooldown_ms if before and not gone else 0
        cooling = until_ms if until_ms > tx.now_ms else None
        failed = jobs.get(tx, KIND, key_of(place))
        rest = failed if failed is not None and failed.due_ms > tx.now_ms else None
    kept = artefacts.read(root, before.folder) if before else {}
    return _Seen(place, memories, dirty_ms, before, kept, gone, cooling, rest)


def _ask(model: Model, seen: _Seen, settings: Settings) -> dict[str, str]:
    if not seen.memories:
        return dict(rules.NOTHING)
    before = {} if seen.gone else seen.notes_before
    bytes_max = settings.input_tokens_max * BYTES_PER_TOKEN
    return rules.merged(model(rules.merge_prompt(seen.made, before, seen.memories, seen.edited, bytes_max)))


def _publish(engine: Engine, homes: Sequence[int], root: str, hold: Hold, seen: _Seen, files: dict[str, str]) -> str:
    folder = artefacts.folder_of(hold.fence)
    artefacts.write(root, folder, {**seen.notes, **files})
    if seen.before and artefacts.read(root, seen.before.folder) != seen.kept:
        return "edited"  # while the model was at it: its files do not know those words. The next run does.

    def flip(tx: Write) -> None:
        holds.confirm(tx, hold)
        forget_failure(tx, seen.place)
        threads = {rules.key_of_memory(memory): memory.updated_at_ms for memory in seen.memories}
        if not threads.keys() <= store.allowed(tx, homes, SCOPE):
            raise Stale("something was forgotten while the files were made of it")
        digests = {path: rules.digest(text) for path, text in files.items()}
        if not store.put_generation(tx, seen.place, hold.fence, folder, threads, digests):
            raise Stale(f"{root} has files of a newer fence than {hold.fence}")
        store.clean(tx, {SCOPE: seen.dirty_ms})

    engine.submit(flip, reserve=True).result()
    return "published"


def _clean(tx: Write, hold: Hold, seen: _Seen) -> None:
    holds.confirm(tx, hold)
    forget_failure(tx, seen.place)
    store.clean(tx, {SCOPE: seen.dirty_ms})


def _settle(engine: Engine, root: str, hold: Hold) -> None:
    """Have the link follow the row, which stays locked meanwhile, and remove what nobody reads any more."""

    def follow(tx: Write) -> str | None:
        now = store.lock_generation(tx, place_of(root))
        holds.confirm(tx, hold)
        artefacts.point(root, now)
        return now

    now = engine.submit(follow, reserve=True).result()
    # Should the hold be lost by now: the next worker's folder has a larger fence, and stays.
    artefacts.tidy(root, {now} if now else set(), up_to_fence=hold.fence)
