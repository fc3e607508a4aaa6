"""A process that cannot write: the kernel refuses it, whatever a library means to do.

SQLite opens the log of a database for writing, and makes it when it is missing,
though it was told to read only; refused that, it reads. Landlock
(landlock(7), Linux 5.13) is for any process, and for good.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable

# landlock(7). The numbers of these calls are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_VERSION = 1
_NO_NEW_PRIVILEGES = 38  # prctl(2), without which nobody but root may restrict itself

_WRITE_FILE = 1 << 1
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_SINCE = ((2, 1 << 13), (3, 1 << 14))  # giving files to other folders; cutting them


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def write_only_below(folders: Iterable[str]) -> bool:
    """Have the kernel refuse this process to write, make, cut, rename or remove anything outside of ``folders``.

    For the thread that asks and those it starts: call it before there are others. Files that are open stay so.
    What such a process can still not do: look at the descriptors of others, which Landlock counts as tracing them.
    Returns False where the kernel has no Landlock: then nothing has changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    handled = _WRITE_FILE | _MAKE_AND_REMOVE | sum(bit for since, bit in _SINCE if version >= since)
    rules = _Ruleset(handled)
    ruleset = system.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = _Beneath(handled, fd)
                if system.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0):
                    return False
            finally:
                os.close(fd)
        refused = system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or system.syscall(_RESTRICT_SELF, ruleset, 0)
        return not refused
    finally:
        os.close(ruleset)
