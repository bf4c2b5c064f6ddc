"""What becomes of the old outputs of tasks when an attempt, or the build, has ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbmake_dag.core.lookup import TaskKeys
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import Execute
from nbmake_dag.engine.dispatch.dispatcher import Dispatched, Dispatcher
from nbmake_dag.execute.output_backup import set_aside
from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.key import Key
from tests.core.builders import graph, task

KEYS = TaskKeys(own_key=Key(""), static_key=Key(""), ingredients=())
NAMES = ("a", "b", "c")


class Begun:
    """Three tasks, each with an old output, which is aside while an attempt runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = Project(config=str(root / "pipeline.toml"), root=str(root), repository=str(root))
        tasks: Any = SimpleNamespace(
            survey=SimpleNamespace(
                graph=graph(*(task(name, makes=f"{name}/out.txt") for name in NAMES)),
                pipeline=SimpleNamespace(pools={}),
                project=self.project,
                refused={},
                secrets={},
            )
        )
        previous = SimpleNamespace(durations=dict)
        stores: Any = SimpleNamespace(blobs=BlobStore(self.project.cache), previous=previous)
        pool: Any = SimpleNamespace(travels=True)
        self.dispatcher = Dispatcher(tasks, stores, pool, writer=SimpleNamespace(), resuming=None)  # type: ignore[arg-type]
        for name in NAMES:
            self.dispatcher.add(Execute(task=TaskName(name), keys=KEYS, reasons=(), codes=()), {})
            (root / name).mkdir()
            (root / name / "out.txt").write_text("old")
            failed = str(root / "failed" / name)
            outputs = [f"{name}/out.txt"]
            self[name].aside = set_aside(self.project.state, self.project.root, outputs, failed)

    def __getitem__(self, name: str) -> Dispatched:
        return self.dispatcher.get(TaskName(name))


@pytest.fixture
def begun(tmp_path: Path) -> Begun:
    return Begun(tmp_path)


def test_a_failed_notebook_that_is_gone_costs_a_warning(begun: Begun) -> None:
    """The old output is back all the same, and the build goes on."""
    begun["a"].attempts = [AttemptResult(outcome="failed", started=0, ended=0, notebook="0" * 64)]
    assert begun.dispatcher.return_outputs(begun["a"]) is None
    assert begun["a"].warnings == [f"its executed notebook is not kept: blob {'0' * 64} is missing"]
    assert (begun.root / "a/out.txt").read_text() == "old"


def test_at_the_end_an_output_that_cannot_be_returned_keeps_no_other_away(begun: Begun) -> None:
    """The error is told when the others are in their places; what is left aside is found by the next build."""
    shutil.rmtree(begun.root / "b")
    (begun.root / "b").write_text("in its way")
    with pytest.raises(OSError, match="exists"):
        begun.dispatcher.close()
    assert [(begun.root / name / "out.txt").read_text() for name in "ac"] == ["old", "old"]
