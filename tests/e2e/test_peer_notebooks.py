"""What papermill, nbclient and nbmake test themselves with runs as in papermill, with few differences."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
import pytest
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from tests.e2e.peer_notebooks import SUITES, Case
from tests.support.project import Project

PAGE = Path(__file__).parents[2] / "nbmake_dag/docs/moving.md"
_DIED = "KernelError"
"""What nbdag calls the end of a kernel in the notebook that it leaves."""
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

DIFFERENCES = {
    ("papermill", "exit"): "`sys.exit()`",
    ("papermill", "exit_0"): "`sys.exit()`",
    ("papermill", "raises_system_exit"): "`sys.exit()`",
    ("nbclient", "may_raise"): "`raises-exception`",
    ("nbmake", "expected_failure"): "`raises-exception`",
    ("nbmake", "allows_errors"): "`allow_errors`",
}
"""The notebooks that end otherwise than in papermill, and what in the documentation gives the reason."""


@dataclass(frozen=True)
class Outcome:
    """How a notebook ended: what failed, if anything did, and the outputs of its cells."""

    error: str
    outputs: tuple[tuple[str, ...], ...] = ()


def _outputs(cells: Iterable[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """Return what each cell shows, without parameters that were injected, colours and stack frames."""
    found: list[tuple[str, ...]] = []
    for cell in cells:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or "papermill-error-cell-tag" in tags:
            continue
        if "injected-parameters" in tags and not cell["outputs"]:
            continue
        shown: list[str] = []
        for output in cell["outputs"]:
            match output["output_type"]:
                case "stream":
                    text = "".join(output["text"])
                    shown.append(f"{output['name']}: {'' if output['name'] == 'stderr' else text}")
                case "error" if output["ename"] == _DIED:
                    pass
                case "error":
                    shown.append(f"error: {output['ename']}")
                case _:
                    data = {
                        kind: "".join(value)
                        for kind, value in output["data"].items()
                        if isinstance(value, list | str)
                    }
                    shown += [
                        f"{kind}: {re.sub(r'0x[0-9a-f]+', '', value)}" for kind, value in sorted(data.items())
                    ]
        found.append(tuple(shown))
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _read(path: Path) -> tuple[tuple[str, ...], ...]:
    return _outputs(json.loads(path.read_text())["cells"]) if path.exists() else ()


def _of_papermill(name: str, case: Case, source: Path, folder: Path) -> Outcome:
    copy = folder / f"{name}.ipynb"
    error = ""
    kernel: dict[str, Any] = {} if case.kernel else {"kernel_name": "python3"}
    try:
        papermill.execute_notebook(
            source, copy, case.parameters, cwd=source.parent, progress_bar=False, log_output=False, **kernel
        )
    except PapermillExecutionError as failed:
        # a magic that does not exist raises nothing
        error = "nothing raised" if failed.ename == "CellExecutionError" else failed.ename
    except DeadKernelError:
        error = "nothing raised"
    except NoSuchKernel:
        return Outcome("no kernel")
    return Outcome(error, _read(copy))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build all notebooks by one command."""
    project = Project(tmp_path_factory.mktemp("peers") / "project")
    lines: list[str] = []
    for suite, cases in SUITES.items():
        project.write(f"{suite}/beside.txt", "beside")
        (project / suite / "dot.png").write_bytes(base64.b64decode(DOT))
        for name, case in cases.items():
            project.write(f"{suite}/{name}.ipynb", json.dumps(case.document()))
            lines += [f'[tasks.{suite}_{name}]\nnotebook = "{suite}/{name}.ipynb"\nworkdir = "{suite}"']
            lines += [f'notebook_output = "executed/{suite}/{name}.ipynb"']
            if case.parameters:
                values = ", ".join(f"{key} = {_toml(value)}" for key, value in case.parameters.items())
                lines += [f"parameters = {{ {values} }}"]
    project.pipeline("\n".join(lines)).build("-k", "--executor=inline")
    return project


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def _of_nbdag(project: Project, suite: str, name: str) -> Outcome:
    summary = json.loads((project / ".nbdag/summary.json").read_text())
    task = next(task for task in summary["tasks"] if task["name"] == f"{suite}_{name}")
    if task["status"] == "ran":
        return Outcome("", _read(project / f"executed/{suite}/{name}.ipynb"))
    partial = sorted(project.root.glob(f".nbdag/failed/*/{suite}_{name}/executed.ipynb"))
    if not partial:
        return Outcome("no kernel")
    outputs = _read(partial[-1])
    errors = [text.removeprefix("error: ") for cell in outputs for text in cell if text.startswith("error: ")]
    return Outcome(errors[-1] if errors else "nothing raised", outputs)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_notebooks_end_as_in_papermill(built: Project, tmp_path: Path, suite: str) -> None:
    """They succeed, fail by the same exception and show the same, or the documentation says why not."""
    cases = SUITES[suite]
    with ThreadPoolExecutor(2) as pool:
        ran = [
            pool.submit(_of_papermill, name, case, built / suite / f"{name}.ipynb", tmp_path)
            for name, case in cases.items()
        ]
    differing = {
        name: (future.result(), ours)
        for (name, _), future in zip(cases.items(), ran, strict=True)
        if (ours := _of_nbdag(built, suite, name)) != future.result()
    }
    expected = {name for of, name in DIFFERENCES if of == suite}
    assert set(differing) == expected, differing


def test_differences_from_papermill_are_documented() -> None:
    """Each has a row with its reason."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert [what for what in DIFFERENCES.values() if not any(what in row for row in rows)] == []
