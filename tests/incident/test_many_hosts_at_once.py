"""Eighty hosts that begin at once in a log with the usual limits: each logs a few lines, and no error is lost."""

from __future__ import annotations

import collections

from incident_helpers import taken

from holdfast.logs import Caps, LogQuery
from holdfast.logs.pump import TARGET
from holdfast.logs.query import query

HOSTS = 80

# It imports once, forks the hosts, and has each go on when it is told to.
HOSTED = """
directory, hosts = sys.argv[1], int(sys.argv[2])
warm(sys.argv[3])
gate, go = os.pipe()
told, tell = os.pipe()
alive, stay = os.pipe()
pids = []
for number in range(hosts):
    pid = os.fork()
    if pid == 0:
        try:
            os.close(go)
            os.close(stay)
            os.read(gate, 1)  # all go at once
            handler = logs.handler(directory, "TRACE")
            log = logging.getLogger("host")
            log.propagate = False
            log.setLevel(1)
            log.addHandler(handler)
            for line in range(5):
                log.info("info %d %d", number, line)
            for line in range(5):
                log.error("error %d %d", number, line)
            while (stats := handler.stats()).given > stats.written + stats.repeats + sum(
                sum(levels.values()) for levels in stats.dropped.values()
            ):
                handler.flush()
            os.write(tell, b"x")
            os.read(alive, 1)  # it lives, with its segment open, as long as who forked it
        finally:
            os._exit(1)
    pids.append(pid)
os.close(go)
for _ in pids:
    os.read(told, 1)
say("logged")
hear()
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def test_eighty_hosts_at_once_keep_every_error(start, tmp_path):
    hosted = start(HOSTED, tmp_path / "logs", HOSTS, tmp_path / "scratch")
    assert hosted.line() == "logged"
    assert taken(tmp_path / "logs") <= Caps().bytes
    errors = collections.Counter(
        record.message for record in query(tmp_path / "logs", LogQuery(levels=("ERROR",))) if record.target != TARGET
    )
    hosted.tell()
    assert errors == {f"error {number} {line}": 1 for number in range(HOSTS) for line in range(5)}
