"""A server of the chat API on this machine, that answers as a test says."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, *, finish="stop", **more):
    """Return the body of an answer."""
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": finish}], **more}).encode()


class ModelServer:
    """Plays ``script``: each request takes the next step, the last one for ever. A step gets the handler."""

    def __init__(self, *script):
        self.script = list(script)
        self.requests = []
        self.headers = []
        self.over = threading.Event()
        self.asked = threading.Event()
        self._lock = threading.Lock()

    def next_step(self, headers, body):
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            self.asked.set()
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def says(body, status=200, content_type="application/json", **headers):
    """Return the step that answers with these bytes."""

    def step(handler):
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return step


def hangs(handler):
    """Answer nothing until the test is over."""
    handler.server.model.over.wait(30)


def drips(handler):
    """Send a byte now and then, for ever: no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.model.over.wait(0.02):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def breaks_off(handler):
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def is_huge(handler):
    """Send megabytes until the other side has enough."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(160):
        handler.wfile.write(b" " * 65_536)


@contextmanager
def serving(model):
    """Serve on a free port; yields the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            step = self.server.model.next_step(dict(self.headers), json.loads(body))
            with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
                step(self)
            self.close_connection = True

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.model = model
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        model.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
