"""A project in a temporary folder, and the environment that work in it sees."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from nbmake_dag.execute.log_reader import Folded, fold_accesses, fold_log
from nbmake_dag.execute.processes.process import ProcessRun
from nbmake_dag.execute.processes.runtime_dir import end_marked
from nbmake_dag.execute.protocol import AttemptResult, AttemptSpec, Failure, Left, Upstream, Work
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.record import Access


@dataclass
class Project:
    """One attempt's folders; ``root`` is the repository."""

    root: Path
    scratch: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> BlobStore:
        return BlobStore(str(self.root / ".nbdag" / "cache"))

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "NBDAG_ROOT": str(self.root),
            "NBDAG_REPOSITORY": str(self.root),
            "NBDAG_LOG": str(self.scratch / "log.jsonl"),
            "NBDAG_ACCESS": str(self.scratch / "access.jsonl"),
            "NBDAG_UPSTREAM": str(self.scratch / "upstream.json"),
            "NBDAG_ARTIFACTS": str(self.scratch / "artifacts"),
            **self.extra,
        }

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def spec(self, work: Work, **fields) -> AttemptSpec:
        return AttemptSpec(
            **{
                "run_id": "r",
                "task": "t",
                "attempt": 1,
                "root": str(self.root),
                "repository": str(self.root),
                "workdir": "./",
                "work": work,
                "parameters": {},
                "inputs": [],
                "outputs": [],
                "declared_outputs": (),
                "env": self.env,
                "blobs": str(self.root / ".nbdag" / "cache"),
                "scratch": str(self.scratch),
                "runtime": str(self.scratch),
                **fields,
            }
        )

    def python(self, code: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a script as a task's work would be run."""
        return run_python(code, self.root, self.env, check=check)

    def folded(self) -> Folded:
        return fold_log(str(self.scratch / "log.jsonl"), str(self.scratch / "artifacts"), self.blobs)

    def accesses(self) -> tuple[Access, ...]:
        return fold_accesses(str(self.scratch / "access.jsonl"), str(self.root), self.folded().modules)

    def artifact(self, name: str) -> bytes:
        return self.blobs.read(self.folded().logged.artifacts[name].sha256, 1 << 30)


def failure_of(run: AttemptResult | ProcessRun) -> Failure:
    """Return the failure of an attempt, which must have one."""
    assert run.failure is not None
    return run.failure


def left(task: str, position: int = 0, above: tuple[int, ...] = (), **values) -> Left:
    """Return the line of a task that left ``values``."""
    nothing: dict[str, dict[str, object]] = {"params": {}, "metrics": {}, "tags": {}, "artifacts": {}}
    return Left(task=task, position=position, above=above, **{**nothing, **values})


def write_lines(path: Path, lines: Iterable[Left]) -> Upstream:
    """Write lines as a build does; their tasks are all right above."""
    offsets: list[int] = []
    with path.open("wb") as file:
        for line in lines:
            offsets.append(file.tell())
            file.write(msgspec.json.encode(line) + b"\n")
        return Upstream(file=str(path), size=file.tell(), above=tuple(offsets))


def run_python(
    code: str, folder: Path, env: dict[str, str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=env,
        check=check,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Make a project; no zygote that it needed outlives the test."""
    root, scratch = tmp_path / "project", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir()
    yield Project(root, scratch)
    end_marked(str(scratch))
