"""Phase 1: one memory for each thread that is due, each made once per input, whoever works.

A thread is claimed just before it is read. What a model says of it is stored
in the transaction that ends the claim, so a worker that lost its claim stores
nothing, and one that died costs an attempt.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from holdfast import holds, ids, jobs
from holdfast.engine import Engine, Write
from holdfast.errors import HoldfastError, Stale
from holdfast.jobs import Claimed, Kind, Watermark
from holdfast.jobs.working import Work
from holdfast.memory import rules, store
from holdfast.memory.model import (
    Candidate,
    ExtractReport,
    Model,
    OnProgress,
    Progress,
    Settings,
    Unavailable,
    ended_by,
    key_of,
)
from holdfast.memory.serializing import serialize

KIND = "memory:extract"
UNAVAILABLE_MAX = 3
"""So many times in a row the server may be unavailable; then the run ends."""
_LONG_MS = 60_000  # who asks to be left alone for longer is asked no more in this run
_REST_MAX_MS = 24 * 3600 * 1000  # whatever a server asks for


def kind_of(settings: Settings) -> Kind:
    """Return how extractions are done: lease, attempts, and the rest after a failure."""
    return Kind(
        KIND, lease_ms=settings.lease_ms, attempts_max=settings.attempts_max, backoff_ms=settings.retry_ms,
        backoff_max_ms=max(settings.retry_ms, _REST_MAX_MS),
    )  # fmt: skip


def due(engine: Engine, homes: Sequence[int], settings: Settings, *, cwds: Sequence[str] = ()) -> ExtractReport:
    """Return how many threads may be read, and how many are due. Only reads: what a run would begin with."""
    seen, found, skipped = _due(engine, homes, settings, cwds)
    return ExtractReport(seen=seen, due=len(found), skipped=dict(skipped))


def extract(
    engine: Engine,
    homes: Sequence[int],
    model: Model,
    settings: Settings,
    *,
    stop: threading.Event | None = None,
    on_progress: OnProgress | None = None,
    cwds: Sequence[str] = (),
) -> ExtractReport:
    """Have ``model`` read the threads that are due, at most ``rollouts_max``, and store what it says of them.

    ``settings.workers`` at once. Ends early when ``stop`` is set: what is
    under way is given back, its attempt with it. A failure of one thread is in
    the report, never raised. ``Full`` (the token budget), what every thread
    would meet (``NotThisThread``) and a server that is ``Unavailable`` three
    times in a row end the run, and cost nobody an attempt.
    """
    seen, found, skipped = _due(engine, homes, settings, cwds)
    report = ExtractReport(seen=seen, due=len(found), skipped=dict(skipped))
    work = _Work(engine, model, settings, stop or threading.Event(), report, on_progress, found)
    # Not a pool: that waits for its threads, and Ctrl-C is not to wait for a model.
    threads = [
        threading.Thread(target=work.run, name=f"holdfast-memory-{number}", daemon=True)
        for number in range(min(settings.workers, len(found)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        work.over.set()
        work.give_back()
        raise
    if work.error is not None:
        raise work.error
    work.say_what_is_left()
    return report


def _due(
    engine: Engine, homes: Sequence[int], settings: Settings, cwds: Sequence[str]
) -> tuple[int, list[Candidate], Counter[str]]:
    """Return how many threads may be read, those that are due, and why others are not. One read transaction."""
    skipped: Counter[str] = Counter()
    fresh: list[Candidate] = []
    tried: list[Candidate] = []
    with engine.read() as tx:
        seen = store.candidates(tx, homes, settings)
        if cwds:
            seen = [candidate for candidate in seen if candidate.cwd in cwds]
        for candidate in seen:
            if len(fresh) == settings.rollouts_max:
                skipped["next_run"] += 1
                continue
            job = jobs.get(tx, KIND, candidate.key)
            if job is None:
                fresh.append(candidate)
            elif _may_claim(job, candidate, tx.now_ms, skipped):
                # What came to nothing before comes last: input that brings a server down must not end every run.
                (tried if job.retry_ms else fresh).append(candidate)
    found = [*fresh, *tried]
    if left := len(found) - settings.rollouts_max:
        skipped["next_run"] += max(left, 0)
    return len(seen), found[: settings.rollouts_max], +skipped


def _may_claim(job: jobs.Job, candidate: Candidate, now_ms: int, skipped: Counter[str]) -> bool:
    # Cheap and in a read: a thread that rests costs no write. The claim decides again, on the row as it is then.
    wanted = Watermark(candidate.size, candidate.digest)
    newer = job.wanted != wanted
    if job.was_done and job.done == wanted:
        skipped["up_to_date"] += 1
    elif job.due_ms > now_ms and not newer:
        skipped["resting"] += 1
    elif job.attempts >= job.attempts_max and not newer and job.status != jobs.Status.RUNNING:
        skipped["exhausted"] += 1
    else:
        return True
    return False


def fence_off(tx: Write, home_id: int, thread_id: bytes) -> None:
    """Have whoever reads this thread just now come too late: what is forgotten must not be stored a moment later."""
    key = key_of(home_id, thread_id)
    job = jobs.get(tx, KIND, key)
    if job is not None and job.status == jobs.Status.RUNNING:
        outcome = jobs.claim(tx, KIND, key, holds.me("forget"), stale_after_ms=0)
        if isinstance(outcome, Claimed):
            jobs.finish(tx, outcome)


class _Work:
    """One run: what its threads share."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        settings: Settings,
        stop: threading.Event,
        report: ExtractReport,
        on_progress: OnProgress | None,
        candidates: Sequence[Candidate],
    ) -> None:
        self.over = threading.Event()
        self.error: BaseException | None = None
        self._stop = stop
        self._unavailable = 0
        self._unread = 0
        self._answered = False
        self._last: BaseException | None = None
        self._ended: BaseException | None = None
        self._candidates = deque(candidates)
        self._claims: dict[str, Claimed] = {}
        self._engine = engine
        self._model = model
        self._settings = settings
        self._kind = kind_of(settings)
        self._report = report
        self._on_progress = on_progress
        self._done = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Do one thread after the other, as long as there are some."""
        try:
            with suppress(IndexError):
                while True:
                    self._one(self._candidates.popleft())
        except BaseException as error:  # of the engine, or of who is told the progress: raised to the caller
            self.error = error
            self.over.set()

    def give_back(self) -> None:
        """Give back what is under way: its model is not waited for, and what it says comes too late."""
        for claim in list(self._claims.values()):
            self._end(functools.partial(jobs.release, claim=claim))

    def say_what_is_left(self) -> None:
        """Put into the report why the run ended early, and how many threads were left."""
        error = self._ended or (None if self._answered else self._last)
        if error is None:
            return
        self._report.ended_by = ended_by(error)
        left = self._report.stopped + self._unread
        many = "1 thread was" if left == 1 else f"{left:,} threads were"
        asked = f" {self._unavailable} times in a row" if self._unavailable > 1 else ""
        why = f"the model's server did not answer{asked}" if isinstance(error, Unavailable) else str(error)
        self._report.ended = f"The run ended early, {many} left to the next one: {why}"

    def _one(self, candidate: Candidate) -> None:
        if self.over.is_set() or self._stop.is_set():
            self._note("stopped")
            return
        mark = Watermark(candidate.size, candidate.digest)
        owner = holds.me(f"memory-{threading.get_ident()}")

        def claim(tx: Write) -> jobs.Outcome:
            return jobs.claim(tx, self._kind, candidate.key, owner, watermark=mark)

        outcome = self._engine.submit(claim).result()
        if not isinstance(outcome, Claimed):
            self._skip(type(outcome).__name__.lower())
            return
        self._claims[candidate.key] = outcome
        work = Work(self._engine, outcome, stopping=self._stop)
        try:
            self._claimed(work, candidate)
        except Stale:
            self._note("lost")
        except Exception as error:
            if ended_by(error) is not None:
                self._give_back(candidate, outcome, error)
                return
            # A model is somebody's code: whatever it raises is one failed attempt at this thread.
            text = str(error) if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"
            said = rules.clean(text, 1_000)
            self._end(functools.partial(jobs.fail, claim=outcome, error=said))
            self._fail(candidate, said)
        finally:
            work.stop_keeping()
            del self._claims[candidate.key]

    def _claimed(self, work: Work, candidate: Candidate) -> None:
        transcript = serialize(candidate.path, self._settings.input_tokens_max)
        prompt = rules.extraction_prompt(transcript, cwd=candidate.cwd, path=candidate.path)
        answer = self._model(prompt) if transcript else None
        self._unavailable, self._answered = 0, True
        found = None if answer is None else rules.extraction(answer)
        work.check()

        def keep(tx: Write) -> str:
            jobs.confirm(tx, work.claim)  # first: with the fence, or nothing of this
            if not store.may_remember(tx, candidate.home_id, candidate.thread_id):
                jobs.release(tx, work.claim)
                return "disabled"
            jobs.finish(tx, work.claim, {"kept": found is not None})
            if found is None:
                store.forget(tx, candidate.home_id, candidate.thread_id)
                return "nothing"
            scopes = store.scopes_for(self._settings, candidate.cwd)
            store.replace(tx, candidate.home_id, candidate.thread_id, scopes, found, source_ms=candidate.updated_ms)
            return "kept"

        ended = self._engine.submit(keep).result()
        if ended == "disabled":
            self._skip(ended)
        else:
            self._note(ended)

    def _give_back(self, candidate: Candidate, claim: Claimed, error: BaseException) -> None:
        """Give a thread back that its model could not be asked about, and end the run when that is so for all."""
        rest_ms = 0
        with self._lock:
            self._unread += 1
            self._last = error
            if isinstance(error, Unavailable):
                self._unavailable += 1
                rest_ms = min(error.retry_in_ms, _REST_MAX_MS)
            if not isinstance(error, Unavailable) or rest_ms >= _LONG_MS or self._unavailable >= UNAVAILABLE_MAX:
                self.over.set()
                self._ended = self._ended or error
        self._end(functools.partial(jobs.release, claim=claim, retry_in_ms=rest_ms))
        self._fail(candidate, rules.clean(str(error), 1_000))

    def _end(self, end: Callable[[Write], object]) -> None:
        # Lost meanwhile, or no room: the lease ends it.
        with suppress(HoldfastError):
            self._engine.submit(end, reserve=True).result()

    def _note(self, what: str) -> None:
        with self._lock:
            setattr(self._report, what, getattr(self._report, what) + 1)
            self._step()

    def _skip(self, outcome: str) -> None:
        with self._lock:
            self._report.skipped[outcome] = self._report.skipped.get(outcome, 0) + 1
            self._step()

    def _fail(self, candidate: Candidate, error: object) -> None:
        with self._lock:
            self._report.failed.append((ids.text(candidate.thread_id), str(error)))
            self._step()

    def _step(self) -> None:
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(Progress("extract", self._done, self._report.due))
