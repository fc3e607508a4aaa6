"""Every probe that opens a database, in the order they run."""

from __future__ import annotations

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.probes.probe import Probe

SQLITE: tuple[Probe[SqlLook], ...] = ()
