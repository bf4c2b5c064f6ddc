"""A server on loopback that speaks as much of GitHub's REST API as is needed, and a storage beside it."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


@dataclass
class FakeGitHub:
    """``answers`` come first, each for one request whose path begins so; ``seen`` has all, with their tokens."""

    artifacts: list[dict[str, Any]] = field(default_factory=list)
    zips: dict[int, bytes] = field(default_factory=dict)
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    page_size: int = 2
    base: str = ""
    storage: str = ""
    limit: int = 0
    """Of requests, told with every answer; ``left`` of them until ``reset``."""
    left: int = 0
    reset: int = 1_800_000_100

    def add(self, number: int, content: bytes, name: str = "", *, of_fork: bool = False, **more: Any) -> None:
        """Add an artefact, newest first, as GitHub lists them."""
        made = {"id": 1, "repository_id": 7, "head_repository_id": 8 if of_fork else 7, "head_branch": "main"}
        artifact = {"id": number, "name": name or f"nbdag-run-{number}", "expired": False, "size_in_bytes": 1}
        self.artifacts.insert(0, {**artifact, "workflow_run": made, **more})
        self.zips[number] = content

    def next_answer(
        self, path: str, status: int, headers: dict[str, str] | None = None, body: bytes = b"{}"
    ) -> None:
        self.answers.append((path, (status, headers or {}, body)))

    def paths(self, server: str) -> list[str]:
        return [path for where, path, _ in self.seen if where == server]

    def api(self, path: str) -> Answer:
        parts = urlsplit(path)
        if parts.path == "/repos/ada/digits/actions/artifacts":
            page = int(parse_qs(parts.query).get("page", ["1"])[0])
            at = (page - 1) * self.page_size
            body = {"total_count": len(self.artifacts), "artifacts": self.artifacts[at : at + self.page_size]}
            following = f'<{self.base}{parts.path}?per_page=100&page={page + 1}>; rel="next"'
            headers = {"Link": following} if at + self.page_size < len(self.artifacts) else {}
            return 200, headers, json.dumps(body).encode()
        number = parts.path.removeprefix("/repos/ada/digits/actions/artifacts/").removesuffix("/zip")
        if number.isdecimal() and int(number) in self.zips:
            return 302, {"Location": f"{self.storage}/blob/{number}?sig=abc"}, b""
        return 404, {}, b'{"message": "Not Found"}'

    def stored(self, path: str) -> Answer:
        return 200, {}, self.zips[int(urlsplit(path).path.removeprefix("/blob/"))]


@contextmanager
def serving(github: FakeGitHub) -> Iterator[FakeGitHub]:
    """Serve the API and the storage on ports of their own."""
    servers = [_server(github, "api", github.api), _server(github, "storage", github.stored)]
    github.base, github.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield github
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _server(github: FakeGitHub, name: str, answer: Callable[[str], Answer]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            github.seen.append((name, self.path, self.headers.get("Authorization")))
            first = next((item for item in github.answers if self.path.startswith(item[0])), None)
            if first:
                github.answers.remove(first)
            status, headers, body = first[1] if first else answer(self.path)
            if github.limit and name == "api":
                github.left -= 1
                headers |= {
                    "X-RateLimit-Limit": str(github.limit),
                    "X-RateLimit-Remaining": str(github.left),
                    "X-RateLimit-Reset": str(github.reset),
                }
            self.send_response(status)
            for header, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method that it overrides
            """Say nothing."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def zipped(**members: bytes) -> bytes:
    """Make a zip file; a name's double underscore stands for a dot."""
    return zipped_as({name.replace("__", "."): content for name, content in members.items()})


def zipped_as(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()
