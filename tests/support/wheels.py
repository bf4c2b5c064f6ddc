"""A package index of a test's own: tiny wheels on loopback, and lock files that name them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    asked: threading.Event
    answers: threading.Event

    def do_GET(self) -> None:
        self.asked.set()
        self.answers.wait(60)
        with contextlib.suppress(ConnectionError):
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as in the base class
        pass


class Wheels:
    """Wheels of packages that hold one module, which says its version."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self.url = url
        self.asked = threading.Event()
        """Set when somebody has asked for a file."""
        self.answers = threading.Event()
        """Nobody is answered while it is not set."""
        self.answers.set()
        self.hashes: dict[str, str] = {}

    def add(self, name: str, version: str, code: str = "") -> str:
        """Make a wheel; return its file's name."""
        info, file = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
        members = {
            f"{name}.py": f"VERSION = {version!r}\n{code}",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        lines = [f"{path},sha256={_urlsafe(text.encode())},{len(text)}" for path, text in members.items()]
        with zipfile.ZipFile(self._folder / file, "w") as archive:
            for path, text in members.items():
                archive.writestr(path, text)
            archive.writestr(f"{info}/RECORD", "".join(f"{line}\n" for line in (*lines, f"{info}/RECORD,,")))
        self.hashes[file] = hashlib.sha256((self._folder / file).read_bytes()).hexdigest()
        return file

    def requirements(self, *files: str) -> str:
        """Return a `requirements.txt` that pins wheels."""
        return "".join(
            f"{file.partition('-')[0]} @ {self.url}/{file} \\\n    --hash=sha256:{self.hashes[file]}\n"
            for file in files
        )

    def uv_lock(self, *files: str, groups: Mapping[str, str] | None = None) -> str:
        """Return a `uv.lock` of a project that needs wheels, and others for its groups."""
        groups = groups or {}
        needed = "".join(f'    {{ name = "{file.partition("-")[0]}" }},\n' for file in files)
        text = (
            'version = 1\nrequires-python = ">=3.11"\n\n[[package]]\nname = "project"\nversion = "0"\n'
            f'source = {{ virtual = "." }}\ndependencies = [\n{needed}]\n\n[package.dev-dependencies]\n'
        )
        text += "".join(f'{group} = [{{ name = "{file.partition("-")[0]}" }}]\n' for group, file in groups.items())
        for file in (*files, *groups.values()):
            name, version = file.split("-")[:2]
            text += (
                f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
                f'source = {{ registry = "{self.url}" }}\n'
                f'wheels = [{{ url = "{self.url}/{file}", hash = "sha256:{self.hashes[file]}" }}]\n'
            )
        return text


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@contextmanager
def serving(folder: Path) -> Iterator[Wheels]:
    """Serve a folder of wheels on loopback."""
    folder.mkdir()

    class Handler(_Quiet):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        wheels = Wheels(folder, f"http://127.0.0.1:{server.server_port}")
        Handler.asked, Handler.answers = wheels.asked, wheels.answers
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield wheels
        finally:
            wheels.answers.set()
            server.shutdown()
            thread.join()
