"""The connections of one database file in this process, and what is known of the file.

One core per process and real path; handles (``store.py``) share it. It opens
lazily, so a forked child and a parent that was parked for the fork open again
by just going on.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, suppress

import apsw

from holdfast.errors import Busy, Damaged, HoldfastError, Refused, Unsupported
from holdfast.sqlite import codes, creation, fork, guard, locks, settings
from holdfast.sqlite.baton import Baton
from holdfast.sqlite.begin import begin_immediate
from holdfast.sqlite.files import Files
from holdfast.sqlite.reads import Reader, Readers
from holdfast.sqlite.seat import Seat
from holdfast.sqlite.settings import Durability, Limits, Patience
from holdfast.sqlite.shm import Shm
from holdfast.sqlite.wal import Janitor, Wal

_LAST_LOOK_NS = 500_000_000  # how long a close waits for the seat; in turn with busy writers it takes 200 ms
_VACUUM_LOOK_EVERY = 1024  # commits between two looks at the free pages


class Core:
    """See the module. ``path`` is the real path; everything else is set by the first to open."""

    def __init__(self, path: str, durability: Durability, limits: Limits, application_id: int | None) -> None:
        self.path = path
        self.durability = durability
        self.limits = limits
        self.application_id = application_id
        self.handles = 0
        self.idle_until_ns = 0
        """When an open file that has no handle left is to be closed (``linger.py``)."""
        self.commits = 0
        self.members = 0
        self._stranded = False
        self._closed = False
        self.reopen_writer = False
        self.log_in_doubt = False
        self.files = Files(path)
        self.wal = Wal(self)
        self._make()

    def _make(self) -> None:
        # What a forked child makes anew: locks and threads do not survive a fork.
        self._opening = threading.RLock()
        self.writer: apsw.Connection | None = None
        self._foreign_keys = True
        self.patience = Patience()
        self.seat = Seat(self.path, self.limits.seat_ms)
        self.baton = Baton(self)
        self.shm = Shm(lambda: guard.hold(self.path))
        self.readers = Readers(self.path, self.limits, self._open_reader, self.shm)
        self.janitor: Janitor | None = None

    def open(self) -> None:
        """Open the writer and remember which files it has. 0.6 ms; some syncs when it is new."""
        with self._opening:
            if self.writer is not None and not self.reopen_writer:
                return
            self.check_usable()
            if not self.files.known:
                creation.prepare(self.path, self.application_id, self.limits.open_wait_ms)
            elif not os.path.exists(self.path):
                raise self.files.changed(f"{self.path} is gone")
            if self.writer is not None:
                self._close_writer()
            self.reopen_writer = False
            self.patience.deadline_ns = time.monotonic_ns() + self.limits.read_wait_ms * 1_000_000
            try:
                writer = settings.connect(self.path, apsw.SQLITE_OPEN_READWRITE, self.patience)
                try:
                    creation.check_header(writer, self.path, self.application_id)
                    if writer.readonly("main"):  # SQLite makes do with that, and says nothing
                        raise Unsupported(
                            f"{self.path} cannot be written by this user",
                            remedy="Make it writable for this user, or only look: `peek` instead of `open`.",
                        )
                    self._fold_lower(writer)
                    settings.for_writing(writer, self.durability)
                    self.wal.watch(writer)
                    self.files.remember()
                    self._guard(writer)
                except BaseException:
                    writer.close()
                    raise
            except apsw.Error as error:
                raise codes.translate(error, self.path) from error
            self.writer = writer
            self._foreign_keys = True

    def check_application(self, application_id: int | None) -> None:
        """Raise ``Refused`` when the file, open already, is not of ``application_id``. One short read."""
        if application_id is None or application_id == self.application_id:
            return
        reader = self.readers.take()
        try:
            found = settings.pragma_int(reader.connection or self._open_reader(reader), "application_id")
        finally:
            self.readers.put(reader)
        if found != application_id:
            raise Refused(f"{self.path} is open in this process as another program's: its application_id is {found:#x}")

    def use_foreign_keys(self, on: bool) -> None:
        """Enforce foreign keys in the writes that come, or not. For the holder of the baton.

        A change costs every prepared statement; nothing otherwise.
        """
        if on != self._foreign_keys and self.writer is not None:
            self.writer.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(on))
            self._foreign_keys = on

    def check_usable(self) -> None:
        """Raise ``Refused`` once closed, ``Unsupported`` in a child forked in mid-transaction."""
        if self._closed:
            raise Refused(f"{self.path}: this store is closed")
        if self._stranded:
            raise fork.stranded(self.path)

    def begin(self, begun_ns: int, deadline_ns: int, reserve: bool) -> int:
        """BEGIN IMMEDIATE on the writer, and return the bytes of the WAL. For the holder of baton and seat.

        Raises ``Busy``, ``Full`` or ``Damaged``, and leaves no transaction then.
        """
        if self.writer is None or self.reopen_writer:
            self.open()
            assert self.writer is not None
        if self.janitor is None:
            self.janitor = Janitor(self)
        if self.files.damaged:
            raise Damaged(self.files.damaged)
        self.wal.unbound()
        if self.log_in_doubt:
            self.trust_log(begun_ns, deadline_ns)
        begin_immediate(self, begun_ns, deadline_ns)
        try:
            # After BEGIN: from here on only we can make the log grow.
            wal_bytes = self.files.look()
            if wal_bytes >= self.limits.wal_hard_bytes and not self.wal.has_room(wal_bytes, reserve):
                self.writer.execute("ROLLBACK")
                self.shm.free_write()
                # A log that was long once is not full: try to empty it first.
                self.wal.truncate()
                begin_immediate(self, begun_ns, deadline_ns)
                wal_bytes = self.files.look()
                if not self.wal.has_room(wal_bytes, reserve):
                    raise self.wal.full(wal_bytes)
        except BaseException:
            if self.writer.in_transaction:
                self.writer.execute("ROLLBACK")
            self.shm.free_write()
            raise
        self.wal.allow(reserve)
        return wal_bytes

    def doubt_log(self) -> None:
        """Note that a write or a sync of the log failed, or may have.

        After a failed sync the kernel may have dropped the pages and forgotten
        the error (fsync(2)): only a new descriptor starts clean, and only what
        is written again is written at all.
        """
        self.reopen_writer = self.log_in_doubt = True

    def trust_log(self, begun_ns: int, deadline_ns: int) -> None:
        """Write the log again, so that nothing is built upon a hole in it. For the holder of baton and seat.

        Under the write lock: nobody else adds to it meanwhile. Raises ``Busy``, ``Full`` or ``Unsupported``.
        """
        assert self.writer is not None
        begin_immediate(self, begun_ns, deadline_ns)
        try:
            self.wal.write_again()
        finally:
            self.writer.execute("ROLLBACK")
            self.shm.free_write()
        self.log_in_doubt = False

    def committed(self, members: int) -> None:
        """Count a group that is durable, and wake the janitor when there is something for it.

        Raises ``Damaged`` when the files changed meanwhile: then it went into one without a name.
        """
        wal_bytes = self.files.look()
        self.commits += 1
        self.members += members
        if self.janitor is not None and (
            wal_bytes > self.limits.wal_soft_bytes or self.commits % _VACUUM_LOOK_EVERY == 0
        ):
            self.janitor.wake()

    def vacuum(self, pages: int, begun_ns: int, deadline_ns: int) -> None:
        """Return free pages to the disk, in a transaction of its own. For the holder of baton and seat."""
        assert self.writer is not None
        self.begin(begun_ns, deadline_ns, reserve=False)
        try:
            self.writer.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
            self.writer.execute("COMMIT")
        except apsw.Error:
            self.doubt_log()  # it is a commit, too
            raise
        finally:
            if self.writer.in_transaction:
                self.writer.execute("ROLLBACK")
            self.shm.free_write()

    def leave(self) -> None:
        """Take back what is open, and let others write: our processes, and neighbours. Twice is harmless."""
        if self.writer is not None and self.writer.in_transaction:
            self.wal.unbound()
            try:
                self.writer.execute("ROLLBACK")
            except apsw.Error:
                # The disk failed while undoing. A closed connection has no transaction.
                self.reopen_writer = True
        self.shm.free_write()
        self.seat.release()

    def park(self, begun_ns: int, deadline_ns: int) -> ExitStack:
        """See ``fork.Forkable``."""
        with ExitStack() as hold:
            hold.enter_context(self.baton.alone(begun_ns, deadline_ns))
            intact = self._still_ours()
            if intact:
                guard.release(self.path)
            hold.enter_context(self.readers.hold_all(deadline_ns))
            self.shm.detach()
            self._close_writer()
            return hold.pop_all()

    def close(self) -> None:
        """Empty the log and close. Raises ``Busy``, and stays open, while a transaction here goes on."""
        begun_ns = time.monotonic_ns()
        deadline_ns = begun_ns + self.limits.read_wait_ms * 1_000_000
        self._end_janitor()
        with ExitStack() as hold:
            hold.enter_context(self.baton.alone(begun_ns, deadline_ns))
            # While another process writes on, or no descriptor is free for the seat, the log is left as it is.
            # What is closed already, for a fork, has nothing to empty: a forked child does not wait for its parent.
            # Whoever keeps the seat for long, or was stopped in it, is attached, and leaves after us.
            with suppress(HoldfastError):
                if self.writer is not None:
                    self.seat.take(begun_ns, min(deadline_ns, begun_ns + _LAST_LOOK_NS))
                    hold.callback(self.seat.release)
            hold.enter_context(self.readers.hold_all(deadline_ns))
            if self._still_ours():
                # Who is still attached empties it; a log is not cut short under others without need.
                if self.seat.taken_ns and not self._is_open_elsewhere():
                    with suppress(HoldfastError):  # what cannot be copied stays in the log, for the next to open
                        self.wal.truncate()
                guard.release(self.path)
            # Otherwise the guard stays, and with it SQLite cannot believe it is the last
            # to close: it neither copies our log into a file that is not ours, nor unlinks.
            self.shm.detach()
            self._close_writer()
            self._closed = True
        self._end_janitor()  # a write that came before us may have begun one anew
        self.seat.close()

    def _end_janitor(self) -> None:
        janitor, self.janitor = self.janitor, None
        if janitor is not None:
            janitor.end()

    def begin_in_child(self, *, parked: bool) -> None:
        """See ``fork.Forkable``."""
        if not parked:
            self._stranded = True
            fork.leaked.append(self.writer)
            if self.baton.current is not None:
                self.baton.current.end()
        self.baton.inherited = True
        self.readers.leave_to_parent(parked=parked)
        self.shm.leave_to_parent()
        # Closing is not unlocking: the parent's seat stays taken. Keeping it open
        # would keep the seat taken when the parent dies.
        self.seat.close()
        self._make()

    def free_pages(self) -> tuple[int, int]:
        """Return how many pages are free, and the bytes of a page."""
        reader = self.readers.take()
        try:
            connection = reader.connection or self._open_reader(reader)
            return settings.pragma_int(connection, "freelist_count"), settings.pragma_int(connection, "page_size")
        finally:
            self.readers.put(reader)

    def seat_holder(self) -> locks.Holder | None:
        """Return who holds the seat; since when, if it is this process."""
        holder = locks.seat_holder(self.path)
        taken_ns = self.seat.taken_ns
        if holder is None or holder.pid != os.getpid() or not taken_ns:
            return holder
        since_ms = (time.monotonic_ns() - taken_ns) // 1_000_000
        return locks.Holder(holder.pid, holder.command, holder.state, since_ms)

    def _open_reader(self, reader: Reader) -> apsw.Connection:
        if self.writer is None:
            self.open()
        try:
            connection = settings.connect(self.path, apsw.SQLITE_OPEN_READWRITE, reader.patience)
            try:
                settings.for_reading(connection)
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
                self._fold_lower(connection)
                self._guard(connection)
            except BaseException:
                connection.close()
                raise
        except apsw.Error as error:
            raise codes.translate(error, self.path) from error
        reader.connection = connection
        return connection

    def _fold_lower(self, connection: apsw.Connection) -> None:
        # Only in files that are a store's: an index another program made on lower(x) would not fit.
        ours = settings.APPLICATION_ID if self.application_id is None else self.application_id
        if settings.pragma_int(connection, "application_id") == ours:
            settings.fold_lower(connection)

    def _guard(self, connection: apsw.Connection) -> None:
        if not guard.SUPPORTED:
            guard.keep_wal(connection)
            return
        try:
            self.shm.attach()
        except OSError as error:
            if error.errno in codes.NO_DESCRIPTOR:
                raise codes.from_system(error, self.path) from error
            raise Busy(f"{self.path} is being closed or recovered by another process: {error.strerror}") from error

    def _still_ours(self) -> bool:
        if self.writer is None or self.files.damaged:
            return False
        try:
            self.files.look()
        except HoldfastError:
            return False
        return True

    def _is_open_elsewhere(self) -> bool:
        return any(holder.pid != os.getpid() for holder in locks.openers(self.path))

    def _close_writer(self) -> None:
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()
