"""A closed vocabulary is a type: the type checker refuses a word that is not in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFUSED = {
    "status of a task": ("nbmake_dag.record.outcome.TaskOutcome", "status", "uptodate"),
    "result of a run": ("nbmake_dag.record.outcome.RunOutcome", "result", "succeeded"),
    "outcome of an attempt": ("nbmake_dag.execute.protocol.AttemptResult", "outcome", "timed out"),
    "recorded status of a task": ("nbmake_dag_reporting.run.TaskRun", "status", "uptodate"),
    "recorded outcome of an attempt": ("nbmake_dag_reporting.run.AttemptRun", "outcome", "ended"),
    "recorded result of a run": ("nbmake_dag_reporting.run.RunHead", "result", "failed"),
    "type of a recorded task": ("nbmake_dag_reporting.run.TaskRun", "type", "script"),
    "mode of the shared cache": ("nbmake_dag.core.model.CacheSettings", "remote_mode", "readwrite"),
    "start of a kernel": ("nbmake_dag.core.model.KernelSettings", "start", "cold"),
    "start of an attempt's kernel": ("nbmake_dag.execute.protocol.NotebookWork", "start", "cold"),
    "direction of a metric": ("nbmake_dag.core.model.MetricSettings", "direction", "up"),
    "declared direction": ("nbmake_dag_reporting.compare.Declared", "direction", "up"),
    "kind of a result": ("nbmake_dag_reporting.compare.ResultChange", "kind", "outputs"),
    "what upstream() read": ("nbmake_dag.execute.protocol.Read", "kind", "metric"),
    "mode of an access": ("nbmake_dag_cache.record.Access", "mode", "append"),
    "stage of an ingredient": ("nbmake_dag_cache.key.Ingredient", "stage", "traced"),
}
"""A class, a field of it, and a word that is none of the field's."""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Compare each field with a wrong word; return what mypy says of the line, by name."""
    folder = tmp_path_factory.mktemp("typing")
    lines = [""]
    for number, (path, field, word) in enumerate(REFUSED.values()):
        module, name = path.rsplit(".", 1)
        lines[0:0] = [f"from {module} import {name} as Class{number}"]
        lines.append(f"def compare{number}(value: Class{number}) -> bool: return value.{field} == {word!r}")
    snippet = folder / "snippet.py"
    snippet.write_text("\n".join(lines) + "\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", f"--cache-dir={folder}", str(snippet)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not checked.stderr, checked.stderr
    first = len(lines) - len(REFUSED) + 1
    said = {int(line): text for line, text in re.findall(r"snippet\.py:(\d+): (.*)", checked.stdout)}
    return {name: said.get(first + number, "") for number, name in enumerate(REFUSED)}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_word_of_no_vocabulary_is_refused(name: str, complaints: dict[str, str]) -> None:
    """A typo in a comparison, which would never be true, does not pass the type checker."""
    assert "Non-overlapping equality check" in complaints[name]
