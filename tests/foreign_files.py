"""What there is to see of another program's database from outside."""

from __future__ import annotations

import hashlib
import os


def seen(path):
    """Return the files beside ``path`` (inode, size, time, hash), and who has which locks on them."""
    files, places = {}, set()
    for name in sorted(os.listdir(os.path.dirname(path))):
        full = os.path.join(os.path.dirname(path), name)
        stat = os.stat(full)
        places.add(f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}")
        with open(full, "rb") as file:  # nobody in this process has it open
            files[name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns, hashlib.sha256(file.read()).hexdigest())
    held = set()
    for _ in range(5):  # a table that changes while it is read tells a lock twice, or leaves one out
        with open("/proc/locks", encoding="ascii") as locks:
            held |= {line.split(maxsplit=1)[1] for line in locks if " -> " not in line}  # those wait
    return files, sorted(line for line in held if line.split()[4] in places)
