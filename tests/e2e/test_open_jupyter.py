"""`nbdag open` with a real Jupyter server: what is saved there reaches the source."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import NBDAG, Project, await_true

pytestmark = [pytest.mark.timing, pytest.mark.slow]

SOURCE = """\
# %% tags=["parameters"]
size = 1

# %% [markdown]
# A look

# %%
# as many as wanted
total = size * 2
"""


COPY = ".nbdag/open/note/note.ipynb"


@dataclass
class Jupyter:
    """A server that `nbdag open` has started; its address is in ``runtime``, ``said`` is what both said."""

    process: subprocess.Popen[bytes]
    runtime: Path
    said: Callable[[], str]

    def answers(self) -> bool:
        try:
            return bool(self.ask())
        except (OSError, StopIteration, json.JSONDecodeError):
            # nothing is written yet, or half of it
            return False

    def ask(self, method: str = "GET", content: Any = None, path: str = COPY) -> Any:
        """Ask for the notebook or another file, or save it."""
        server = json.loads(next(self.runtime.glob("jpserver-*.json")).read_text())
        request = urllib.request.Request(
            f"{server['url']}api/contents/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"token {server['token']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def jupyter(project: Project, tmp_path: Path) -> Iterator[Jupyter]:
    """Open a ``py:percent`` notebook; where there is no JupyterLab, the server alone takes its place."""
    project.pipeline('[tasks.note]\nnotebook = "note.py"\nparameters = { size = 7 }\n').write("note.py", SOURCE)
    runtime, log = tmp_path / "runtime", tmp_path / "jupyter.log"
    config = tmp_path / "config" / "jupyter_server_config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"ServerApp": {"open_browser": False, "allow_root": True, "ip": "127.0.0.1"}}))
    program = tmp_path / "bin" / "jupyter-lab"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m jupyter_server "$@"\n')
    program.chmod(0o755)
    env = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_CONFIG_DIR": str(config.parent),
        "JUPYTER_RUNTIME_DIR": str(runtime),
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*NBDAG, "open", "note"], cwd=project.root, env=project.environment(env), stdout=file, stderr=file
        )
    opened = Jupyter(process, runtime, log.read_text)
    await_true(opened.answers, 120, f"no server answers: {log.read_text()}")
    yield opened
    process.send_signal(signal.SIGINT)
    process.wait(30)


def test_a_notebook_saved_in_jupyter_reaches_its_source(project: Project, jupyter: Jupyter) -> None:
    """The source gets what was edited, without the injected cells, while the command runs; then both end."""
    model = jupyter.ask()
    sources = [cell["source"] for cell in model["content"]["cells"]]
    assert "# Parameters\nsize = 7\n" in sources
    cell = next(cell for cell in model["content"]["cells"] if "total" in cell["source"])
    cell["source"] = cell["source"].replace("size * 2", "size * 3")
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "21"}]

    jupyter.ask("PUT", {"type": "notebook", "format": "json", "content": model["content"]})

    await_true(lambda: "saved note.py" in jupyter.said(), 30, f"it was not saved: {jupyter.said()}")
    assert project.read("note.py") == SOURCE.replace("size * 2", "size * 3")
    jupyter.process.send_signal(signal.SIGINT)
    assert jupyter.process.wait(30) == 0


def test_edits_of_the_source_reach_the_open_copy(project: Project, jupyter: Jupyter) -> None:
    """Jupyter loads what an editor beside it has saved; the repository is around the notebook."""
    project.write("data.txt", "x = 1")
    assert jupyter.ask(path="data.txt")["content"] == "x = 1"
    project.write("note.py", SOURCE.replace("A look", "Another look"))
    await_true(lambda: "loaded note.py" in jupyter.said(), 30, f"it was not loaded: {jupyter.said()}")
    assert "Another look" in [cell["source"] for cell in jupyter.ask()["content"]["cells"]]


def test_edits_on_both_sides_are_said_on_both(project: Project, jupyter: Jupyter) -> None:
    """What is in Jupyter stays there until somebody chooses; the terminal says it once."""
    model = jupyter.ask()
    project.write("note.py", SOURCE.replace("size * 2", "size * 4"))
    cell = next(cell for cell in model["content"]["cells"] if "total" in cell["source"])
    cell["source"] = cell["source"].replace("size * 2", "size * 3")
    jupyter.ask("PUT", {"type": "notebook", "format": "json", "content": model["content"]})
    said = "were both changed in the same place"
    await_true(lambda: said in jupyter.said(), 30, f"it was not said: {jupyter.said()}")
    model = jupyter.ask()
    assert "Nothing is saved until you choose" in model["content"]["cells"][0]["source"]
    model["content"]["cells"][0]["source"] = "take: copy"
    jupyter.ask("PUT", {"type": "notebook", "format": "json", "content": model["content"]})
    await_true(lambda: "saved note.py" in jupyter.said(), 30, f"it was not saved: {jupyter.said()}")
    assert project.read("note.py") == SOURCE.replace("size * 2", "size * 3")
    assert jupyter.said().count(said) == 1
    assert jupyter.process.poll() is None
