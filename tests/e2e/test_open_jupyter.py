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

from tests.project import NBDAG, Project, await_true

SOURCE = """\
# %% tags=["parameters"]
size = 1

# %% [markdown]
# A look

# %%
# as many as wanted
total = size * 2
"""


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

    def ask(self, method: str = "GET", content: Any = None) -> Any:
        """Ask for the notebook, or save it."""
        server = json.loads(next(self.runtime.glob("jpserver-*.json")).read_text())
        request = urllib.request.Request(
            f"{server['url']}api/contents/note.ipynb",
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


def test_edits_on_both_sides_are_said_and_end_nothing(project: Project, jupyter: Jupyter) -> None:
    """What is in Jupyter stays there until somebody has taken it over."""
    model = jupyter.ask()
    for text in ("Another look", "Yet another look"):
        project.write("note.py", SOURCE.replace("A look", text))
        cell = next(cell for cell in model["content"]["cells"] if "total" in cell["source"])
        cell["source"] = f"# {text}\n{cell['source']}"
        jupyter.ask("PUT", {"type": "notebook", "format": "json", "content": model["content"]})
        await_true(lambda: "was changed since" in jupyter.said(), 30, f"it was not said: {jupyter.said()}")
    assert jupyter.answers()
    assert jupyter.process.poll() is None
    assert jupyter.said().count("was changed since") == 1
