"""The environment that a task runs in, for editors: its Python, and a kernelspec for that."""

from __future__ import annotations

import os

import msgspec

from nbmake_dag.core.model import Task
from nbmake_dag.engine.dispatch.attempt_specs import environment_of
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.environments.store import Place
from nbmake_dag.observe.kernels import IPYKERNEL
from nbmake_dag.observe.survey import Survey

KERNEL = "nbdag-environment"
"""The name of the kernelspec."""


def python_of(task: Task, survey: Survey) -> str | None:
    """Return the Python of a task's environment, ``None`` without one; raises `UsageError` before it was made."""
    spec = environment_of(task, survey)
    if spec is None:
        return None
    place = Place.of(spec)
    if not place.is_whole():
        raise UsageError(
            f"the environment `{spec.name}` of task `{task.name}` is not made yet, or was changed",
            (),
            "build the task first: only a build makes environments",
        )
    return place.python


def write_kernelspec(python: str, title: str, folder: str) -> None:
    """Describe the kernel of a Python to Jupyter, which finds it by ``JUPYTER_PATH``, in a folder."""
    place = os.path.join(jupyter_path(folder), "kernels", KERNEL)
    os.makedirs(place, exist_ok=True)
    spec = {"argv": [python, *IPYKERNEL[1:]], "display_name": title, "language": "python"}
    with open(os.path.join(place, "kernel.json"), "wb") as file:
        file.write(msgspec.json.encode(spec))


def jupyter_path(folder: str) -> str:
    return os.path.join(folder, "jupyter")
