"""What the tests of search share: an index with its home, and what is in a search.db, row by row."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from pathlib import Path

import apsw

from holdfast import ids, schema, search
from holdfast.clock import wall_ms
from holdfast.ingest import gate
from holdfast.sqlite import Store
from holdfast.threads import homes as known_homes
from holdfast.threads import store as threads
from processes import python


class Searched:
    """A state.db and a search.db over one home."""

    def __init__(self, folder: Path, home) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.home = home
        self.path = folder / "search.db"
        self.engine = Store.open(folder / "state.db", clock=wall_ms)
        schema.migrate(self.engine)
        self.index = search.open_index(self.path, wall_ms)

    @property
    def homes(self):
        with self.engine.read() as tx:
            return known_homes.listing(tx)

    def scan(self, **options):
        """Index the home's threads, not its words."""
        return gate.index(self.engine, str(self.home), workers=0, **options)

    def feed(self, **options) -> search.FeedReport:
        options.setdefault("workers", 0)
        return search.feed(self.engine, self.index, self.homes, **options)

    def follow(self) -> search.FeedReport:
        """Bring both indexes up to date."""
        self.scan()
        report = self.feed()
        assert (report.complete, report.problem) == (True, "")
        return report

    def find(self, words, **options) -> search.Hits:
        filters = search.Filters(**{key: options.pop(key) for key in list(options) if key in _FILTERS})
        return search.find(self.engine, self.index, self.homes, words, filters=filters, **options)

    def ids(self, words, **options) -> list[str]:
        return [hit.thread.id for hit in self.find(words, **options)]

    def say(self, do, id, *args):
        """Do what only a person can: rename or archive."""
        with self.engine.write() as tx:
            do(tx, [home.home_id for home in self.homes], ids.parse(id), *args)

    def rename(self, id, name):
        self.say(threads.rename, id, name)

    def archive(self, id, archived=True):
        self.say(threads.set_archived, id, archived)

    @property
    def status(self) -> search.SearchStatus:
        return search.status(self.engine, self.index, self.homes)

    def close(self) -> None:
        self.index.close()
        self.engine.close()

    def content(self):
        self.index.close()
        found = content(self.path)
        self.index = search.open_index(self.path, wall_ms)
        return found


_FILTERS = ("archived", "sources", "providers", "cwds")


def content(path):
    """Return all that a closed search.db holds: threads, messages, and where every word stands. No row ids."""
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        rows = connection.execute("SELECT row, n, role, offset, length FROM messages").fetchall()
        messages = {row: (n, role, offset, length, row >> 16) for row, n, role, offset, length in rows}
        assert len(set(messages.values())) == len(messages)  # nothing is in twice
        fed = sorted(connection.execute("SELECT n, thread_id, stamp, offset, mark, title_hash, messages FROM fed"))
        titles = dict(connection.execute("SELECT n, title_row FROM fed WHERE title_row IS NOT NULL"))
        assert titles == {n: row for row, (n, role, *_) in messages.items() if role == 0}
        connection.execute("CREATE VIRTUAL TABLE temp.places USING fts5vocab(main, words, instance)")
        places = sorted(
            (messages[doc], offset, term) for term, doc, _, offset in connection.execute("SELECT * FROM temp.places")
        )
        connection.execute("INSERT INTO titles (titles) VALUES ('integrity-check')")
        connection.execute("CREATE VIRTUAL TABLE temp.grams USING fts5vocab(main, titles, instance)")
        grams = sorted(connection.execute("SELECT doc, term FROM temp.grams"))
        counted = {}
        for n, role, *_ in messages.values():
            counted[n] = counted.get(n, 0) + (role > 0)
        assert {n: count for n, *_, count in fed if count} == {n: count for n, count in counted.items() if count}
    return fed, sorted(messages.values()), places, grams


CHILD = """
import json, signal
from pathlib import Path
from holdfast import search
from holdfast.clock import wall_ms
from holdfast.search import batch, feeding, parts, store
from holdfast.sqlite import Store
from holdfast.threads import homes
folder = Path(sys.argv[1])
arguments = json.loads(sys.argv[2])
engine = Store.open(folder / "state.db", clock=wall_ms)
index = search.open_index(folder / "search.db", wall_ms)
with engine.read() as tx:
    known = homes.listing(tx)
def feed(**options):
    options.setdefault("workers", 0)
    return search.feed(engine, index, known, **options)
"""


def child(code: str, folder: Path, **arguments) -> subprocess.Popen:
    """Start a process that has ``engine`` and ``index`` of a folder open, and runs ``code``."""
    return python(CHILD + code, folder, json.dumps(arguments))
