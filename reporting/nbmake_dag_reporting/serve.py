"""Serve a site to this machine, with the events of the current run.

Who asks must know the token in the address, and must have asked for this machine by a name of its own: so neither
another user nor a page from elsewhere, whose name leads here, learns anything. Nothing can be written.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socketserver
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import cast
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import replace

from nbmake_dag_reporting.live_feed import LiveFeed, Shown
from nbmake_dag_reporting.runs import open_regular, read_tasks
from nbmake_dag_reporting.site_graph import drawn_graph
from nbmake_dag_reporting.site_page import FRAME_POLICY, LIVE_POLICY, live_page

_HOST = "127.0.0.1"
_NAMES = {_HOST, "localhost"}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
}
_POLICIES = {
    "index.html": f"{LIVE_POLICY}; frame-ancestors 'none'",
    "frame.html": f"{FRAME_POLICY}; sandbox allow-scripts; frame-ancestors 'self'",
}
_NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
_LOOK_S = 0.1
"""Seconds between two reads of the events."""
_SIGN_OF_LIFE_S = 15.0


def new_token() -> str:
    """Make a token that nobody guesses."""
    return secrets.token_urlsafe(16)


class LiveServer:
    """A server on loopback, in threads of its own. ``site`` and ``runs`` are folders.

    Raises `OSError` where ``port`` is taken; 0 is any that is free. Without a ``token`` it makes one.
    """

    def __init__(self, site: str, runs: str, port: int = 0, token: str = "") -> None:
        self._server = _Server((_HOST, port), _Request, token or new_token())
        self._server.site = os.path.realpath(site)
        self._server.runs = runs
        self.url = f"http://{_HOST}:{self._server.server_address[1]}/{self._server.token}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_S,), name="serve", daemon=True
        )
        self._thread.start()

    def show(self, run_id: str) -> None:
        """Follow a run from now on, after the remaining events of the one before."""
        self._server.shown = replace(self._server.shown, run=run_id)

    def refreshed(self, version: str) -> None:
        """Notify pages that the site was written again."""
        self._server.shown = replace(self._server.shown, version=version)

    def complain(self, complaint: str) -> None:
        """Show pages the reason that nothing can be built; an empty text when it is resolved."""
        self._server.shown = replace(self._server.shown, complaint=complaint)

    def close(self) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    site: str
    runs: str

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], token: str) -> None:
        self.token = token
        self.shown = Shown()
        self.closing = threading.Event()
        super().__init__(address, handler)


class _Request(BaseHTTPRequestHandler):
    """One request; a connection serves no second one."""

    server_version = "nbdag"
    sys_version = ""
    timeout = 30

    @property
    def _of(self) -> _Server:
        return cast("_Server", self.server)

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):  # whoever asked has gone
            super().handle()

    def do_GET(self) -> None:
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        token, _, path = urlsplit(self.path).path.lstrip("/").partition("/")
        if host not in _NAMES:
            self.send_error(HTTPStatus.FORBIDDEN, "this server is for its own machine")
        elif not hmac.compare_digest(token.encode(), self._of.token.encode()):
            self.send_error(HTTPStatus.FORBIDDEN, "open the address that nbdag has printed")
        elif path == "live/events":
            # what a browser sends by itself when it connects again is newer than its address
            self._follow(self.headers.get("Last-Event-ID") or urlsplit(self.path).query)
        elif path.startswith("live/graph/"):
            self._graph(unquote(path.removeprefix("live/graph/")))
        else:
            self._file(unquote(path) or "index.html")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
        """Log nothing: the terminal shows the build."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer with one line of text."""
        status = HTTPStatus(code)
        self._answer(f"{message or status.phrase}\n".encode(), "text/plain; charset=utf-8", status=status)

    def _file(self, path: str) -> None:
        """Send a file of the site."""
        site = self._of.site
        try:
            place = os.path.realpath(os.path.join(site, path.lstrip("/")))
            if not place.startswith(f"{site}/"):
                raise FileNotFoundError(path)
            with open_regular(place) as file:
                data = file.read()
        except (OSError, ValueError):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        path = os.path.relpath(place, site)
        if path == "index.html":
            data = live_page(data.decode()).encode()
        kind = _TYPES.get(os.path.splitext(path)[1], "application/octet-stream")
        self._answer(data, kind, policy=_POLICIES.get(path, _NO_PAGE))

    def _graph(self, run: str) -> None:
        """Send the drawing of the run under way."""
        tasks = read_tasks(os.path.join(self._of.runs, run)) if run == self._of.shown.run else None
        if tasks is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        graph = drawn_graph({task.name: task.upstreams for task in tasks.values()})
        self._answer(msgspec.json.encode(graph), "application/json")

    def _follow(self, after: str) -> None:
        """Send events as they happen, as server-sent events, until one of both ends closes.

        ``after`` is the identifier of the last one that the page has, if it was here before.
        """
        self._head("text/event-stream")
        if self.command == "HEAD":
            return
        feed = LiveFeed(self._of.runs, after)
        last = time.monotonic()
        while not self._of.closing.is_set():
            news = feed.news(self._of.shown)
            if not news and time.monotonic() - last > _SIGN_OF_LIFE_S:
                news = b":\n\n"
            if news:
                self.wfile.write(news)
                last = time.monotonic()
            else:
                self._of.closing.wait(_LOOK_S)

    def _answer(
        self, data: bytes, kind: str, *, policy: str = _NO_PAGE, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._head(kind, ("Content-Length", str(len(data))), policy=policy, status=status)
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(
        self,
        kind: str,
        *more: tuple[str, str],
        policy: str = _NO_PAGE,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            *more,
        ):
            self.send_header(name, value)
        self.end_headers()
