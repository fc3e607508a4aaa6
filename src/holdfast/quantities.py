"""Sizes and ages as people write them, in a call and on the command line. Pure."""

from __future__ import annotations

import re

from holdfast.errors import Refused

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def size_bytes(said: int | str) -> int:
    """Return the bytes of ``500kB``, ``20 MB``, ``1GiB`` or of a number of bytes. Raises ``Refused``."""
    found = re.fullmatch(r"(\d{1,12})\s?(k|m|g|ki|mi|gi|)b?", str(said).lower(), re.ASCII)
    if found is None or isinstance(said, bool):
        raise Refused(f"{said!r} is no size", remedy="Say 20MB, 500kB, 1GiB, or a number of bytes.")
    return int(found[1]) * _BYTES[found[2]]


def age_s(said: float | str) -> float:
    """Return the seconds of ``30s``, ``15m``, ``12h``, ``7d``, ``2w`` or of a number of seconds. Raises ``Refused``."""
    if isinstance(said, (int, float)) and not isinstance(said, bool) and 0 <= said < 1e12:
        return said
    found = re.fullmatch(r"(\d{1,9})([smhdw])", str(said), re.ASCII)
    if found is None:
        raise Refused(f"{said!r} is no age", remedy="Say 7d, 12h, 30m, 0s.")
    return int(found[1]) * _SECONDS[found[2]]


def duration(ms: int) -> str:
    """Return a time as people say it: ``12.5 s``, ``3 min 20 s``, ``2 h 5 min``."""
    seconds = max(ms, 0) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(int(seconds), 60)
    return f"{minutes} min {left} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_text(size: int) -> str:
    """Return bytes as people say them: ``812 bytes``, ``4.1 KiB``, ``219.0 GiB``."""
    if size < 1_024:
        return f"{size} bytes"
    scaled = size / 1_024
    for unit in ("KiB", "MiB", "GiB"):
        if scaled < 1_024:
            return f"{scaled:.1f} {unit}"
        scaled /= 1_024
    return f"{scaled:.1f} TiB"
