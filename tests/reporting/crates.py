"""A run whose names, values and records come from somebody hostile, and the crate of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.crate import write_crate
from nbmake_dag_reporting.crate_files import Workflow
from nbmake_dag_reporting.run import Artifact, AttemptRun, Ci, Failure, RecordRef, Run, TaskRun, Vcs
from nbmake_dag_reporting.secrets_scan import Secrets

HOSTILE = (
    "../../up",
    "/tmp/absolute",
    "a b/ü 漢字 %2e%2e",
    "..",
    "ro-crate-metadata.json",
    "x" * 5000,
    "a\udce9\x1b[31m\n",
    "<script>&\"'#?",
    "files/a",
    "FILES/A",
    "files/a/b",
    "javascript:alert(1)",
)
CONTENT = {name: f"content {number}".encode() for number, name in enumerate(HOSTILE)}
WORKFLOW = Workflow(name="pipeline.toml", content=b"[tasks]\n", language="nbdag pipeline", origin="As committed.")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def task(name: str, **more: Any) -> TaskRun:
    given: dict[str, Any] = {"family": name, "status": "ran", "type": "notebook", "path": name, "started": 10**18}
    given |= {"ended": 10**18 + 1, "attempts": (AttemptRun(number=1, outcome="succeeded", started=1, ended=2),)}
    given["record"] = RecordRef(own_key="own", key=name)
    return TaskRun(name=name, **(given | more))


def file_of(path: str, data: bytes) -> dict[str, Any]:
    return {
        "path": path,
        "xxh3": sha256(data)[:32],
        "sha256": sha256(data),
        "size": len(data),
        "executable": False,
    }


def record(files: Mapping[str, bytes], ingredients: list[list[str]] | None = None, **more: Any) -> dict[str, Any]:
    outputs = [{"path": path, "digest": "d", "files": [file_of(path, data)]} for path, data in files.items()]
    origin = {"run_id": "before", "trace_id": "", "span_id": "", "started": 10**18, "duration_s": 1.5}
    return {"outputs": outputs, "origin": origin, "inputs": [], "ingredients": ingredients or []} | more


def hostile() -> Recorded:
    """Return a run in which all that somebody can name is hostile."""
    tasks = [
        task(
            name,
            artifacts={other: Artifact(sha256=sha256(b"log"), size=3, media_type=other) for other in HOSTILE},
            metrics={name: float("nan"), "auc": 0.5},
        )
        for name in HOSTILE
    ]
    failed = Failure(type="ValueError", message="no /home/somebody/data\x1b[31m")
    last = AttemptRun(number=1, outcome="failed", started=10**18, ended=None, failure=failed)
    tasks += [
        task("failed", status="failed", attempts=(last,), record=None),
        task("hit", status="restored", attempts=()),
        task("damaged", status="restored", attempts=()),
        task("skipped", status="skipped", attempts=(), record=None),
    ]
    rows = [
        *(["input", str(at), f"{at:032}", "own", name] for at, name in enumerate(HOSTILE)),
        *(["parameter", name, value] for name in HOSTILE for value in ('"/etc/passwd"', "[1,", "NaN")),
        *(["locked", name, f"{name} sha256:0"] for name in HOSTILE),
        *(["package", name, name] for name in HOSTILE),
        ["input", "web", "0" * 32, "own", "https://example.org/a b\n<>"],
        ["input", "web", "0" * 32, "own", "https://example.org/data.csv?token=..."],
        ["input", "other", "1" * 32, "own", "https://example.org/data.csv?token=..."],
    ]
    far = {"run_id": "../..", "started": 10**30, "duration_s": 1e300}
    records = {name: record(CONTENT, rows) for name in HOSTILE}
    records |= {"hit": record({}, rows, origin=far), "damaged": {"outputs": [{"path": 1}]}}
    blobs = {sha256(data): data for data in (*CONTENT.values(), b"log")}
    run = Run(
        id="r1",
        directory="/nowhere",
        trace_id="ab" * 16,
        pipeline="<b>../p",
        started=10**18,
        ended=None,
        result="failure",
        exit_code=1,
        vcs=Vcs(repository_url="javascript:alert(1)", head_revision="--output=x"),
        ci=Ci(provider="github", actor="../me <script>"),
        parameters={"../x": "\x00", "n": 3},
        tasks={each.name: each for each in tasks},
    )
    return Recorded(run=run, blob=blobs.get, record=lambda _, key: records.get(key))


def hostile_crate(out: Path, recorded: Recorded | None = None, secrets: Secrets | None = None) -> tuple[str, ...]:
    """Write the crate of the run, without what is to be found on this machine."""
    return write_crate(
        str(out),
        recorded or hostile(),
        lambda _: {},
        lambda _path, _digest: None,
        (WORKFLOW, ("LICENSE", b"Do what you want.")),
        secrets or Secrets({}),
    )
