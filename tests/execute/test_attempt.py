"""An attempt is a value: whatever the work does becomes a result, never an exception."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    CommandWork,
    Event,
    Failure,
    FunctionWork,
    NotebookWork,
    Printed,
    Started,
    Work,
)
from nbmake_dag_cache.blobs import BlobStore
from tests.support.attempts import left, write_lines

Run = Callable[..., AttemptResult]


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give a function that runs work in ``tmp_path/project``."""
    root = tmp_path / "project"
    root.mkdir()

    def run(work: Work | str, events: list[Event] | None = None, **options: object) -> AttemptResult:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        cancellation = options.pop("cancellation", Cancellation())
        assert isinstance(cancellation, Cancellation)
        spec = AttemptSpec(
            run_id="run",
            task="task",
            attempt=1,
            root=str(root),
            repository=str(root),
            workdir=".",
            work=CommandWork(arguments=work) if isinstance(work, str) else work,
            inputs=[],
            outputs=[],
            env={**os.environ, "NBDAG_ROOT": str(root), "NBDAG_REPOSITORY": str(root)},
            blobs=str(tmp_path / "cache"),
            scratch=str(scratch),
            **{"parameters": {}, "declared_outputs": (), "runtime": str(tmp_path / "runtime"), **options},  # type: ignore[arg-type]
        )
        result = run_attempt(spec, (events if events is not None else []).append, cancellation)
        assert not scratch.exists()
        return result

    return run


def test_a_success_has_its_outputs_its_log_and_what_it_logged(run: Run, blobs: BlobStore) -> None:
    """A command of any language logs through the documented files."""
    events: list[Event] = []
    script = """
        echo hello
        echo data > out
        echo png > $NBDAG_ARTIFACTS/roc.png
        echo '{"kind": "metric", "key": "auc", "value": 0.5}' >> $NBDAG_LOG
        echo '{"kind": "artifact", "name": "roc.png", "path": "roc.png"}' >> $NBDAG_LOG
    """
    result = run(script, events, declared_outputs=("out",))
    assert result.outcome == "succeeded"
    assert result.failure is None
    assert [blobs.read(file.sha256, 99) for output in result.outputs for file in output.files] == [b"data\n"]
    assert result.log is not None
    assert blobs.read(result.log, 99) == b"hello\n"
    assert result.logged.metrics == {"auc": 0.5}
    assert blobs.read(result.logged.artifacts["roc.png"].sha256, 99) == b"png\n"
    started, printed = events
    assert isinstance(started, Started)
    assert isinstance(printed, Printed)
    assert started.time == result.started <= result.ended


def test_an_output_that_was_not_written_is_a_failure(run: Run) -> None:
    """The command itself succeeded; what it logged is kept."""
    result = run("""echo '{"kind": "tag", "key": "a", "value": "b"}' >> $NBDAG_LOG""", declared_outputs=("a", "b"))
    assert result.outcome == "failed"
    assert result.failure == Failure(type="MissingOutput", message="declared but not written: a, b")
    assert result.logged.tags == {"a": "b"}
    assert result.outputs == ()


def test_a_failed_command_collects_no_outputs(run: Run, blobs: BlobStore) -> None:
    """What it wrote is partial; its exit code and its log are kept."""
    result = run("echo data > out; echo broken; exit 3", declared_outputs=("out",))
    assert (result.outcome, result.exit_code, result.outputs) == ("failed", 3, ())
    assert result.log is not None
    assert blobs.read(result.log, 99) == b"broken\n"


def test_without_a_store_outputs_are_digests_only(run: Run, blobs: BlobStore) -> None:
    """``store = false`` concerns outputs."""
    result = run("echo data > out", declared_outputs=("out",), store=False)
    assert [blobs.has(file.sha256) for output in result.outputs for file in output.files] == [False]


def test_a_log_that_says_nothing_is_a_failure(run: Run) -> None:
    """A success that lost what it meant to log would be cached."""
    result = run("echo nonsense >> $NBDAG_LOG")
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.type == "BadLog"


def test_the_tasks_above_can_be_read(run: Run, blobs: BlobStore, tmp_path: Path) -> None:
    """Their lines are named, and where artifacts are."""
    stored = blobs.put_bytes(b"content")
    note = {"note.txt": (stored.sha256, stored.size)}
    lines = write_lines(tmp_path / "upstream.jsonl", [left("eda"), left("train[n=1]", artifacts=note)])
    result = run(
        "cp $NBDAG_UPSTREAM upstream.json",
        declared_outputs=("upstream.json",),
        upstream=lines,
    )
    (file,) = result.outputs[0].files
    upstream = json.loads(blobs.read(file.sha256, 999))
    assert upstream["above"] == list(lines.above)
    with Path(upstream["lines"]).open("rb") as found:
        found.seek(upstream["above"][1])
        line = json.loads(found.readline())
    assert (line["task"], line["artifacts"]) == ("train[n=1]", {"note.txt": [stored.sha256, stored.size]})
    assert Path(upstream["blobs"], stored.sha256[:2], stored.sha256).read_bytes() == b"content"


def test_an_attempt_that_is_cancelled_says_so(run: Run) -> None:
    """Its work is interrupted, then killed."""
    cancellation = Cancellation()
    timer = threading.Timer(0.2, cancellation.request, (0.1,))
    timer.start()
    result = run("trap '' INT; while true; do sleep 0.05; done", cancellation=cancellation)
    timer.join()
    assert result.outcome == "cancelled"


@pytest.mark.timing
def test_a_timeout_is_a_timeout(run: Run) -> None:
    """Not a failure, so that it can be told from one."""
    assert run("sleep 1000", timeout=0.1).outcome == "timeout"


def test_a_function_is_called_and_its_exception_is_a_failure(run: Run, tmp_path: Path) -> None:
    """Parameters arrive as keyword arguments."""
    (tmp_path / "project/work.py").write_text(
        "def good(n):\n    open('out', 'w').write(str(n))\n\ndef bad(n):\n    raise ValueError(n)\n"
    )
    good = run(FunctionWork(module="work", qualname="good"), parameters={"n": 7}, declared_outputs=("out",))
    assert good.outcome == "succeeded", good.failure
    assert (tmp_path / "project/out").read_text() == "7"
    bad = run(FunctionWork(module="work", qualname="bad"), parameters={"n": 7})
    assert bad.outcome == "failed"
    assert bad.failure is not None
    assert (bad.failure.type, bad.failure.message) == ("ValueError", "7")


def test_what_breaks_us_is_lost_not_raised(run: Run, tmp_path: Path) -> None:
    """A blob store that cannot be written is no fault of the task; the failure names it."""
    (tmp_path / "cache").write_text("a file where a folder must be")
    result = run("echo hello")
    assert result.outcome == "lost"
    assert result.failure is not None
    assert result.failure.type == "_OTHER"
    assert str(tmp_path / "cache") in result.failure.message
    assert not result.failure.traceback


def test_a_cancellation_calls_back_once(run: Run) -> None:
    """Also those who ask after it was requested; a second request changes nothing."""
    cancellation = Cancellation()
    seen: list[str] = []
    cancellation.on_request(lambda: seen.append("before"))
    assert not cancellation.requested
    cancellation.request(3.0)
    cancellation.request(9.0)
    cancellation.on_request(lambda: seen.append("after"))
    assert seen == ["before", "after"]
    assert (cancellation.requested, cancellation.grace) == (True, 3.0)


@pytest.mark.parametrize("preload", [(), ("json",)])
def test_the_process_that_is_started_ahead_is_the_one_that_kernels_come_from(
    run: Run, tmp_path: Path, preload: tuple[str, ...]
) -> None:
    """Whoever starts it first, it is one."""
    (tmp_path / "project/n.py").write_text("# %%\nprint(1)")
    interpreter, counted = sys.executable, frozenset({0})
    work = NotebookWork(path="n.py", kernel="python3", interpreter=interpreter, preload=preload, counted=counted)
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as runtime:
        result = run(work, runtime=runtime)
        sockets = [entry.name for entry in os.scandir(runtime) if stat.S_ISSOCK(entry.stat().st_mode)]
    assert (result.outcome, len(sockets)) == ("succeeded", 1)
