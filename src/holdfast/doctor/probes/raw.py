"""Every probe that needs no database open, in the order they run."""

from __future__ import annotations

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.probes.probe import Probe

RAW: tuple[Probe[RawLook], ...] = ()
