"""A web server on this machine whose answers a test writes, and what it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


class Asked(BaseHTTPRequestHandler):
    """One request; ``answer`` writes the whole response."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[Asked], None]
    log: list[str]
    over: Event

    def do_GET(self) -> None:
        conditions = ("If-None-Match", "If-Modified-Since", "Range", "If-Range")
        said = [f"{name}: {self.headers[name]}" for name in conditions if name in self.headers]
        self.log.append(" ".join([self.path, *said]))
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            type(self).answer(self)

    def says(
        self,
        status: int,
        body: bytes = b"",
        *,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write a response; ``length`` is what it claims to be, if that is not true."""
        self.send_response(status)
        headers = headers or {}
        for name, value in headers.items():
            self.send_header(name, value)
        if "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method that it overrides
        """Print nothing."""


@dataclass
class Server:
    """Answers with whatever ``answer`` writes at the time."""

    port: int
    over: Event
    log: list[str] = field(default_factory=list[str])
    answer: Callable[[Asked], None] = lambda request: request.says(200, b"content")

    def url(self, path: str = "/sales.csv", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def asked(self) -> list[str]:
        """Return what was asked since the last time."""
        found = self.log[:]
        self.log.clear()
        return found


@contextmanager
def serving() -> Generator[Server]:
    over = Event()

    class Handler(Asked):
        def answer(self) -> None:  # type: ignore[override]
            server.answer(self)

    Handler.over = over
    listening = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    server = Server(port=listening.server_port, over=over)
    Handler.log = server.log
    listening.daemon_threads = True
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        over.set()
        listening.shutdown()
        listening.server_close()
