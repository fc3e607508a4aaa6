"""What a probe saw: measured beside expected, how sure, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sure(StrEnum):
    """How sure a probe is of what it says."""

    CERTAIN = "certain"
    LIKELY = "likely"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be.

    ``code`` is stable and greppable (``thread-file-missing``); ``subject`` says
    where; ``remedy`` is a sentence for the person who reads it.
    """

    code: str
    subject: str
    measured: str
    expected: str
    remedy: str
    sure: Sure = Sure.CERTAIN
