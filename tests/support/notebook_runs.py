"""Running one notebook that is given as the text of its cells."""

import json
import os
import shutil
import tempfile
from types import SimpleNamespace

import pytest

from nbmake_dag.core.vocabulary import KernelStart
from nbmake_dag.execute.notebook.run import run_notebook
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import AttemptSpec, NotebookWork


@pytest.fixture(scope="module")
def runtime():
    """Make a short private directory; its zygotes end with it."""
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def run(tmp_path, runtime):
    """Run cells, given as text, in a notebook; the result has the run, its events and its executed cells."""

    def run(
        *cells,
        name="a.py",
        kernel="python3",
        start: KernelStart = "warm",
        cancellation=None,
        env=None,
        emit=None,
        root=tmp_path,
        **options,
    ):
        work = NotebookWork(
            path=name,
            kernel=kernel,
            start=start,
            interpreter=options.pop("interpreter", None),
            counted=frozenset(range(len(cells) or 9)),
            preload=options.pop("preload", ()),
            allow_errors=options.pop("allow_errors", False),
            shutdown_timeout=options.pop("shutdown_timeout", 30.0),
            inject_inputs=options.pop("inject_inputs", False),
            inject_outputs=options.pop("inject_outputs", False),
        )
        if cells:
            (root / name).write_text("\n\n".join(f"# %%{cell}" for cell in cells))
        scratch = tempfile.mkdtemp(dir=tmp_path)
        fields = {"parameters": {}, "inputs": {}, "outputs": {}, **options}
        spec = AttemptSpec(
            run_id="r",
            task="t",
            attempt=1,
            root=str(root),
            repository=str(root),
            workdir=".",
            work=work,
            declared_outputs=(),
            env={**os.environ, **(env or {})},
            blobs="",
            scratch=scratch,
            runtime=runtime,
            **fields,
        )
        events = []

        def hear(event):
            events.append(event)
            if emit:
                emit(event)

        result = run_notebook(spec, hear, cancellation or Cancellation())
        executed = json.loads(result.notebook)["cells"] if result.notebook else []
        outputs = json.loads(result.cell_outputs)
        return SimpleNamespace(run=result, events=events, cells=executed, outputs=outputs, scratch=scratch)

    return run


def text(*outputs):
    """Join what cells printed."""
    return "".join("".join(each.get("text", "")) for cell in outputs for each in cell["outputs"])
