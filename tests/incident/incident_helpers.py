"""What the hosts of an incident begin with, and what is on the disk afterwards."""

from __future__ import annotations

import json
import os

PRELUDE = """
import json, logging, random, signal, threading, time
from holdfast import logs
def warm(scratch):
    "Import what the first record imports, once for all that are forked from here."
    writer = logs.SegmentWriter(scratch)
    writer.append([logs.Record(id=0, ts=0, level="INFO", target="", message="")])
    writer.close()
def tell_stats(handler, **more):
    stats = handler.stats()
    dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
    say(json.dumps({"given": stats.given, "written": stats.written, "repeats": stats.repeats, "dropped": dropped,
                    "reasons": stats.dropped, "errors": stats.errors, **more}))
"""


def told(child):
    """Return what ``tell_stats`` said in ``child``; every record is accounted for."""
    line = child.line()
    assert line, f"it ended with {child.wait()}"
    stats = json.loads(line)
    assert stats["given"] == stats["written"] + stats["repeats"] + stats["dropped"], stats
    return stats


def taken(directory):
    """Return the bytes that the files in ``directory`` take on the disk."""
    total = 0
    try:
        names = os.listdir(directory)
    except OSError:
        return 0
    for name in names:
        try:
            total += os.stat(os.path.join(directory, name)).st_blocks * 512
        except OSError:
            continue  # gone since it was listed
    return total
