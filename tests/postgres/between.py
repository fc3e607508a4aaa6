"""A wire between a client and the server that a test can cut, or hold up, at COMMIT."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

_COMMIT = b"COMMIT\x00"


class Between:
    """Listens where a client expects the server. Each connection is passed on until ``at_commit`` says otherwise.

    ``at_commit`` is ``"cut before"`` (COMMIT never arrives), ``"cut after"`` (it is done, its answer is lost)
    or ``"late"`` (the client is cut off, and COMMIT arrives when ``let_go`` is called); for one COMMIT each.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = str(server / ".s.PGSQL.5432")
        self.folder = folder
        self.at_commit: list[str] = []
        self.round_trips = 0
        self.is_pooler = False
        """Names a session of its own invention, as a pooler in transaction mode does, and hears nothing for it."""
        self.loses_words = False
        """Passes no notification on, and is a server in every other way."""
        self.listens = 0
        self._held: list[tuple[socket.socket, bytes]] = []
        self._deaf: set[socket.socket] = set()
        self._answer = b""
        self._answered = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def let_go(self) -> bytes:
        """Send the COMMIT that was held, and return what the server answers."""
        server, message = self._held.pop()
        self._answered.clear()
        self._answer = b""
        server.sendall(message)
        assert self._answered.wait(30)
        return self._answer

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            _end(each)
        for thread in self._threads:
            thread.join(30)
        os.unlink(self.folder / ".s.PGSQL.5432")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._server)
                except OSError:
                    client.close()
                    server.close()
                    continue
                self._sockets += [client, server]
                for target in (self._up, self._down):
                    thread = threading.Thread(target=target, args=(client, server), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self.round_trips += 1
                self.listens += b"LISTEN" in data
                if _COMMIT in data and self.at_commit:
                    self._cut(self.at_commit.pop(0), client, server, data)
                    return
                server.sendall(data)
        _end(server)

    def _cut(self, how: str, client: socket.socket, server: socket.socket, message: bytes) -> None:
        if how == "cut before":
            _end(server)
        else:
            self._deaf.add(server)
            if how == "late":
                self._held.append((server, message))
            else:
                self._answered.clear()
                self._answer = b""
                server.sendall(message)
                assert self._answered.wait(30)
        _end(client)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        waiting = b""
        with suppress(OSError):
            while data := server.recv(65536):
                if server in self._deaf:
                    self._answer += data
                    if b"Z\x00\x00\x00\x05" in self._answer:  # ReadyForQuery: it has no more to say
                        self._answered.set()
                elif self.is_pooler or self.loses_words:
                    waiting, data = self._change(waiting + data)
                    client.sendall(data)
                else:
                    client.sendall(data)
        if server not in self._deaf:
            _end(client)

    def _change(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what is no whole message yet, and the rest as the client is to see it."""
        passed = b""
        while len(data) >= 5 and len(data) > (size := int.from_bytes(data[1:5], "big")):
            message, data = data[: size + 1], data[size + 1 :]
            if message[:1] == b"K" and self.is_pooler:  # BackendKeyData: the number of the session
                message = message[:5] + b"\0\0\0\1" + message[9:]
            if message[:1] != b"A":  # NotificationResponse
                passed += message
        return data, passed


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
