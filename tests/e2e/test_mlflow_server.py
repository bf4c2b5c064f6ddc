"""A real MLflow server shows the spans of a build that was told to send them there.

In an environment that has MLflow and nbdag: ``python -m pytest -m mlflow tests/e2e/test_mlflow_server.py``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbmake_dag_reporting.runs import read_trace
from tests.support.project import Project, await_true

pytestmark = pytest.mark.mlflow

EXPERIMENT = "0"
PIPELINE = """
[pipeline]
name = "weather"

[tasks.measure]
notebook = "measure.py"
outputs = ["measured.txt"]
retries = 1

[tasks.wrong]
command = "exit 3"
inputs = ["measured.txt"]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Start MLflow's server with a database of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = f"--backend-store-uri=sqlite:///{tmp_path}/mlflow.db"
    where = ["--host=127.0.0.1", f"--port={port}", f"--default-artifact-root={tmp_path}/artifacts", "--workers=1"]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", store, *where],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        base = f"http://127.0.0.1:{port}"
        try:
            await_true(lambda: answers(base), 120, "MLflow does not answer")
            assert shown(base) == {}
            yield base
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def shown(base: str) -> dict[str, dict[str, tuple[str, str | None, bool]]]:
    """Return the spans of each trace that MLflow has: name, parent and whether it is an error, by their ids."""
    import mlflow  # type: ignore[import-not-found]

    found = mlflow.MlflowClient(base).search_traces(locations=[EXPERIMENT])
    return {
        trace.info.trace_id.removeprefix("tr-"): {
            span.span_id: (span.name, span.parent_id, span.status.status_code.name == "ERROR")
            for span in trace.data.spans
        }
        for trace in found
    }


def recorded(run: Path) -> dict[str, tuple[str, str | None, bool]]:
    found = {}
    for line in read_trace(str(run)).splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    is_error = span.get("status", {}).get("code") == 2
                    found[span["spanId"]] = (span["name"], span.get("parentSpanId") or None, is_error)
    return found


@pytest.mark.timing
def test_mlflow_shows_each_run_as_its_record_has_it(project: Project, server: str) -> None:
    """Attempts that failed and succeeded, a failed task, and hits: every span, below the same parent."""
    project.pipeline(PIPELINE).notebook(
        "measure.py",
        "import os",
        "assert os.environ['NBDAG_ATTEMPT'] == '2'\nopen('measured.txt', 'w').write('1')",
    )
    there = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{server}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-mlflow-experiment-id={EXPERIMENT}",
    }
    project.build(env=there).ended(1, ran=["measure"], failed=["wrong"])
    project.build("measure", env=there).ended(0, up_to_date=["measure"])
    runs = sorted((project / ".nbdag/runs").glob("2*"))
    assert len(runs) == 2
    kept = [recorded(run) for run in runs]
    assert {name for name, _, _ in kept[0].values()} >= {"measure", "wrong", "attempt 1", "attempt 2"}
    kept.sort(key=len, reverse=True)
    await_true(lambda: sorted(shown(server).values(), key=len, reverse=True) == kept, 60, "MLflow shows others")
