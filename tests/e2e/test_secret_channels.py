"""Secrets go through every channel of tasks that print, log, fail, crash and are killed; no byte is left."""

from __future__ import annotations

import base64
import gzip
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.project import Project, await_true, kill

SECRET = "canary-7c1f'9d\"e+0b/3a"
NAME = "canary-4e5f60718293"
"""Another one, which can be the name of a file."""
ENV = {"API_PW": SECRET, "FILE_PW": NAME, "GITLAB_CI": "true"}
SPELLINGS = [
    SECRET,
    SECRET[3:],
    json.dumps(SECRET)[1:-1],
    quote(SECRET, safe=""),
    base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-1],
    NAME,
]
CHANNELS = """
import base64, json, os, pathlib, subprocess, sys
from urllib.parse import quote
import nbmake_dag as nbdag
pw, name = os.environ["API_PW"], os.environ["FILE_PW"]
print("with", pw, json.dumps(pw), quote(pw, safe=""), base64.b64encode(pw.encode()).decode())
sys.stdout.write(pw[:9]); sys.stdout.flush(); sys.stdout.write(pw[9:] + "\\n")
print(repr(pw), file=sys.stderr)
nbdag.log_param("pw", pw)
nbdag.log_param(pw, {"in": [pw]}["in"][0])
nbdag.log_metric(name, 1.0)
nbdag.log_metric(name, 2.0, step=3)
nbdag.set_tag("url", f"https://user:{quote(pw)}@example.org")
nbdag.set_tag(pw, name)
nbdag.log_text("plain", f"{name}.txt")
nbdag.log_text(pw, "note.txt")
pathlib.Path(f"undeclared-{name}.txt").write_text("x")
pathlib.Path(f"undeclared-{name}.txt").read_text()
pathlib.Path("out").mkdir(exist_ok=True)
pathlib.Path(f"out/{TASK}").mkdir(exist_ok=True)
pathlib.Path(f"out/{TASK}/{name}.txt").write_text("x")
pathlib.Path(f"out/{TASK}/empty-{name}").mkdir(exist_ok=True)
pathlib.Path(f"out/{TASK}/link").symlink_to(f"{name}.txt")
pathlib.Path(f"out/{TASK}/plain.txt").write_text(f"x{pw}x")
subprocess.run(["sh", "-c", 'echo "$API_PW"; echo "$API_PW" >&2'])
os.write(2, pw.encode() + b"\\n")
"""
ENDS = {
    "succeeds": "",
    "raises": "raise RuntimeError(f'cannot log in with {pw} and {name}')",
    "logs what is no line": "open(os.environ['NBDAG_LOG'], 'a').write('x' * 110 + pw + '\\n')",
    "dies": "os.write(2, pw.encode()); os.kill(os.getpid(), 9)",
}


def _pipeline(project: Project, end: str) -> Project:
    """Make a task of each kind that tells its secrets in every way, and a task that reads what it left."""
    project.pipeline(
        f"""
        [tasks.notebook]
        notebook = "leak.ipynb"
        outputs = ["out/notebook/"]
        secrets = ["API_PW", "FILE_PW"]

        [tasks.function]
        function = "steps:leak"
        outputs = ["out/function/"]
        secrets = ["API_PW"]

        [tasks.command]
        command = {json.dumps([sys.executable, "leaking.py"])}
        outputs = ["out/command/"]

        [tasks.below]
        command = "cat out/notebook/*.txt; ls out/notebook; cp -r out/notebook out/below"
        inputs = ["out/notebook/"]
        outputs = ["out/below/"]
        """
    )
    code = f"{CHANNELS}\n{end}".strip()
    body = "".join(f"    {line}\n" for line in code.replace("{TASK}", "function").splitlines())
    project.write("steps.py", f"def leak():\n{body}")
    project.write("leaking.py", code.replace("{TASK}", "command") + "\n")
    shown = "from IPython.display import HTML; display(HTML(f'<a href=\"https://{quote(pw)}@x\">{pw}</a>'))"
    cells = (
        [code.replace("{TASK}", "notebook"), shown, "pw"]
        if not end
        else [CHANNELS.replace("{TASK}", "notebook"), end]
    )
    document = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{place}",
                "metadata": {},
                "source": cell,
                "outputs": [],
                "execution_count": None,
            }
            for place, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "x"}, "title": SECRET, "author": NAME},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return project.write("leak.ipynb", json.dumps(document))


def _spills(shown: dict[str, Iterable[bytes]]) -> list[str]:
    """Return where a spelling of a secret is."""
    needles = [spelling.encode() for spelling in SPELLINGS]
    return [
        f"{where}: {needle.decode()}"
        for where, pieces in shown.items()
        for piece in pieces
        for needle in needles
        if needle in piece
    ]


def _files(folder: Path) -> dict[str, Iterable[bytes]]:
    """Return the names and contents of all files, also of what is compressed."""
    found: dict[str, Iterable[bytes]] = {}
    for path in folder.rglob("*"):
        data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else b""
        found[str(path)] = (str(path.relative_to(folder)).encode(), data, plain)
    return found


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Serve as a collector of spans; yield its address and what it gets."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method that it overrides
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


@pytest.mark.parametrize(
    "end", [end if end == "raises" else pytest.param(end, marks=pytest.mark.slow) for end in ENDS]
)
def test_no_byte_of_a_secret_is_left_anywhere(
    project: Project, end: str, collector: tuple[str, list[bytes]]
) -> None:
    """Not in ``.nbdag``, site, bundle, tree, collector, terminal, summary or comment, for all kinds of tasks."""
    address, bodies = collector
    project.git("init", "-q")
    _pipeline(project, ENDS[end])
    env = {**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": address}
    build = project.nbdag("build", "-k", "--output=stream", *_WRITERS, env=env)
    assert "[secret API_PW]" in build.stderr
    assert build.returncode == (0 if end == "succeeds" else 1), build.stderr
    assert bodies
    said = [project.nbdag(*arguments, env=env) for arguments in _READERS]
    assert [done.returncode for done in said] == [0] * len(said), [done.stderr for done in said]
    texts = [text.encode() for done in (build, *said) for text in (done.stdout, done.stderr)]
    shown = {**_files(project / ".nbdag"), **_files(project / "site"), **_files(project / "tree")}
    kept = [(project / name).read_bytes() for name in ("summary.json", "tasks.xml", "run.json", "metrics.txt")]
    assert _spills({**shown, "terminal": texts, "kept": kept, "collector": bodies}) == []


_WRITERS = ("--summarize=summary.json", "--junit=tasks.xml", "--json-lines")
_READERS = [
    ("status",),
    ("show", "latest"),
    ("show", "latest", "notebook"),
    ("diff", "latest", "latest", "--format=markdown", "--pictures=pictures.html"),
    ("explain", "notebook"),
    ("status", "--json"),
    ("show", "latest", "--json"),
    ("show", "latest", "notebook", "--json"),
    ("explain", "notebook", "--json"),
    ("report", "-o", "site"),
    ("export", "latest", "--bundle", "run.json", "-o", "tree", "--metrics", "metrics.txt"),
]


def test_no_byte_of_a_secret_is_in_the_summary_of_a_job(project: Project) -> None:
    """On GitHub the only lines with a secret are those that tell the runner to mask it."""
    _pipeline(project, ENDS["raises"])
    summary = project / "summary.md"
    env = {**ENV, "GITLAB_CI": "", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    build = project.nbdag("build", "-k", env=env)
    assert "failed" in summary.read_text()
    lines = [line for line in f"{build.stdout}{build.stderr}".splitlines() if not line.startswith("::add-mask::")]
    assert _spills({"summary": [summary.read_bytes()], "log": [line.encode() for line in lines]}) == []


@pytest.mark.slow
def test_no_byte_of_a_secret_is_left_by_a_killed_build(project: Project) -> None:
    """Not in ``.nbdag`` once its processes have ended, nor after the next build, nor in a command line."""
    _pipeline(project, "open('began', 'a').write('x'); import time; time.sleep(600)")
    process = project.start("build", "--jobs=3", env=ENV)
    await_true(lambda: (project / "began").exists() and len((project / "began").read_text()) == 3, 120, "all run")
    lines = {"ps": [line.encode() for line in project.processes().values()]}
    kill(process)
    project.leaves_nobody()
    assert _spills({**lines, **_files(project / ".nbdag")}) == []
    _pipeline(project, "")
    build = project.nbdag("build", "-k", "notebook", env=ENV)
    assert "what an interrupted build left is not kept" in build.stderr
    assert _spills({**_files(project / ".nbdag"), "terminal": [build.stderr.encode()]}) == []
