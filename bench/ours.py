"""holdfast as a user reaches it: its command in a child process, its library in this one.

Measures the tree it lies in; ``$HOLDFAST_BENCH_SRC`` names the ``src`` of another
checkout. What does not exist or fails is told in the result, not raised: half a
table with a named gap is worth more than none.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import codex_peer, homes, measure

# The console script, word for word, so that it runs from a checkout too.
SCRIPT = "import sys; from holdfast.cli import main; sys.argv[0] = 'holdfast'; sys.exit(main())"
REPORT_KEYS = ("scanned", "indexed", "unchanged", "failed", "threads", "duration_ms")


class NotYetError(Exception):
    """A part of the surface is missing, or answered with an error; the text says which."""


def source() -> Path:
    return Path(os.environ.get("HOLDFAST_BENCH_SRC") or homes.REPOSITORY / "src").absolute()


def environment(**more: str) -> dict[str, str]:
    """Return this environment with our source first on the path and no state directory of the user's."""
    # As installed: with the bytecode that pip compiles, kept in the cache for whichever source is measured.
    left_out = ("HOLDFAST_STATE", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    cached = {"PYTHONPATH": str(source()), "PYTHONPYCACHEPREFIX": str(homes.cache_dir() / "bytecode")}
    return kept | cached | more


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", SCRIPT, *map(str, arguments)]


def library() -> Any:
    """Import and return holdfast."""
    if str(source()) not in sys.path:
        sys.path.insert(0, str(source()))
    holdfast = importlib.import_module("holdfast")
    if not hasattr(holdfast, "open"):
        raise NotYetError("holdfast.open does not exist yet")
    return holdfast


@contextmanager
def part(result: measure.Result, what: str) -> Iterator[None]:
    """Run one part of a bench; what stops it becomes a line of ``result`` and the next part runs."""
    try:
        yield
    except codex_peer.NoPeerError as why:
        result.notes.append(f"no peer for {what}: {why}")
    except NotYetError as why:
        result.missing.append(f"{what}: {why}")
    except Exception as why:
        where = traceback.extract_tb(why.__traceback__)[-1]
        place = f"{Path(where.filename).name}, {where.name}"
        result.missing.append(f"{what}: {type(why).__name__}: {why} ({place})")


# --- state directories -------------------------------------------------------


@contextmanager
def empty_state(name: str) -> Iterator[Path]:
    """Yield a path for a state directory, on the disk of the cache; nothing is there before and after."""
    path = homes.cache_dir() / "state" / f"{name}-{os.getpid()}"
    path.parent.mkdir(exist_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def size_bytes(state: Path) -> int:
    return sum(file.stat().st_size for file in state.rglob("*") if file.is_file())


def index(
    home: Path, state: Path, *options: str, on_start: Callable[[int], None] | None = None
) -> tuple[measure.Cost, dict[str, Any]]:
    """Run ``holdfast --state STATE index HOME --json`` and return its cost and its report."""
    told = command("--state", state, "index", home, *options, "--json")
    cost = measure.run(told, env=environment(), on_start=on_start)
    if cost.exit_code:
        raise NotYetError(f"`holdfast index` ended with {cost.exit_code}: {last_line(cost.stderr)}")
    return cost, report(cost.stdout)


def report(text: str) -> dict[str, Any]:
    """Return the report in ``text``: one object, or one per home of which the first is ours."""
    try:
        found = json.loads(text)
    except ValueError:
        raise NotYetError(f"`holdfast index --json` printed no JSON but {text[:80]!r}") from None
    found = found[0] if isinstance(found, list) and found else found
    if lacking := [key for key in REPORT_KEYS if key not in found]:
        raise NotYetError(f"the report of `holdfast index --json` lacks {', '.join(lacking)}")
    return dict(found)


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "(nothing on stderr)"


@contextmanager
def indexed(home: Path, *options: str) -> Iterator[Any]:
    """Yield a handle on a fresh state in which ``home`` is indexed."""
    holdfast = library()
    with empty_state(home.name) as path:
        index(home, path, *options)
        with holdfast.open(home, state_dir=path) as state:
            yield state
