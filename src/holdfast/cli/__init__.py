"""The command line: parse, call one function, render. Decides nothing that the library does not decide."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO

from holdfast.cli import failing
from holdfast.cli.given import Given

_COMPLETE = "_HOLDFAST_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``holdfast`` with ``argv`` (the process's own by default) and return its exit code. Raises nothing."""
    from holdfast.cli.root import root

    if _COMPLETE in os.environ:  # a shell asks what may follow: click answers, and exits
        return int(root.main(prog_name="holdfast"))
    _lenient_streams()
    given = Given(argv=tuple(sys.argv[1:] if argv is None else argv))
    try:
        # Not root.main: it turns a closed pipe into exit code 1, which means something here.
        with root.make_context("holdfast", list(given.argv), obj=given) as context:
            root.invoke(context)
        sys.stdout.flush()
    except BaseException as error:
        return failing.tell(error, given)
    return 0


def _lenient_streams() -> None:
    """Make output that cannot fail for want of a letter: a terminal in Latin-1 gets ``?``, never a traceback."""
    # A stream that was closed (`>&-`) is None: what it would have got goes nowhere.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _nowhere() -> IO[str]:
    return open(os.devnull, "w", encoding="utf-8")
