"""Which executor takes a task, before any was started."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from nbmake_dag.core.model import Policy, Resources
from nbmake_dag.engine.dispatch.pool import Pool
from nbmake_dag.engine.state.previous_results import ExecutorCosts, PreviousResults
from nbmake_dag.execute.executor_kind import Backend
from nbmake_dag.execute.protocol import AttemptResult, AttemptSpec, CommandWork, Ended, ExecutorLost
from nbmake_dag_reporting.vocabulary import AttemptOutcome
from tests.core.builders import task
from tests.support.project import await_true

PLAIN = task("plain")
GRAPHICS = msgspec.structs.replace(PLAIN, policy=Policy(resources=Resources(gpus=1)))


INLINE = Backend(name="inline", module="nbmake_dag.execute.worker", at_once=1, replaceable=True)
RAY = Backend(name="ray", module="nbmake_dag.execute.ray.host", assigns_gpus=True, start_s=6.0)


def pool(*backends: Backend, jobs: int = 2) -> Pool:
    return Pool(backends, jobs=jobs, env={}, attempts="")


def test_what_needs_a_gpu_waits_for_an_executor_that_assigns_gpus():
    """The rest begins without; however few processors there are, that executor is needed."""
    for jobs in (1, 2):
        fresh = pool(INLINE, RAY, jobs=jobs)
        assert fresh.place(GRAPHICS) is None
        assert fresh.needs(RAY, GRAPHICS)
        assert fresh.place(PLAIN) == INLINE
        assert not fresh.needs(RAY, PLAIN)


def test_where_nothing_assigns_gpus_a_task_that_needs_one_does_not_wait():
    """It runs where it sees all of them."""
    assert pool(INLINE).place(GRAPHICS) == INLINE


def test_an_executor_that_is_the_only_one_is_needed_by_every_task():
    """Also where nothing else has begun."""
    assert pool(RAY).needs(RAY, PLAIN)
    assert [backend.name for backend in pool(RAY).unstarted] == ["ray"]


def test_when_an_executor_is_lost_only_what_can_run_without_goes_on():
    """The rest is given to what is lost, so that it ends, and is not begun again."""
    for backends in ((INLINE, RAY), (RAY,)):
        left = pool(*backends)
        left.note(ExecutorLost(executor="ray", reason="it died"))
        assert left.place(PLAIN) == backends[0]
        assert left.cannot_run(PLAIN) == (backends == (RAY,))
        assert left.place(GRAPHICS) == RAY
        assert left.cannot_run(GRAPHICS)


def attempt(executors: Pool, root: Path, name: str) -> AttemptSpec:
    """Describe an attempt that ends when there is a file ``go``."""
    return AttemptSpec(
        run_id="run",
        task=name,
        attempt=1,
        root=str(root),
        repository=str(root),
        workdir=".",
        work=CommandWork(arguments="until test -e go; do sleep 0.01; done"),
        parameters={},
        inputs=[],
        outputs=[],
        declared_outputs=(),
        env={"PATH": os.environ["PATH"]},
        blobs=str(root / "cache"),
        scratch=executors.scratch(),
        runtime=executors.runtime,
    )


def end_of(executors: Pool, name: str) -> None:
    """Let a pool take in its events up to the end of an attempt."""
    ended = False
    while not ended:
        event = executors.events.get(timeout=90)
        executors.note(event)  # type: ignore[arg-type]
        ended = isinstance(event, Ended) and event.task == name


def test_what_an_executor_costs_is_measured(tmp_path: Path) -> None:
    """Its start, and what an attempt takes beside its work; only of those whose start costs something."""
    (tmp_path / "go").touch()
    for start_s in (0.0, 1.0):
        backend = msgspec.structs.replace(INLINE, start_s=start_s)
        used = Pool((backend,), jobs=2, env=dict(os.environ), attempts=str(tmp_path))
        with contextlib.closing(used):
            used.submit(backend, attempt(used, tmp_path, "a"), PLAIN)
            end_of(used, "a")
            measured = dict(used.costs())
        assert list(measured) == (["inline"] if start_s else [])


def test_the_least_that_an_executor_was_seen_to_cost_is_kept(tmp_path: Path) -> None:
    """What a first build measured on a busy machine keeps no later one off it: else none would measure again."""
    kept = PreviousResults(str(tmp_path), pytest.fail)
    assert kept.costs("ray") is None
    busy, idle = (ExecutorCosts(start_s=s, handed_over_s=t) for s, t in ((20.0, 5.0), (5.0, 0.05)))
    kept.note_costs("ray", busy)
    assert kept.costs("ray") == ExecutorCosts(start_s=20.0, handed_over_s=0.3)
    kept.note_costs("ray", idle)
    kept.note_costs("ray", busy)
    kept.save()
    assert PreviousResults(str(tmp_path), pytest.fail).costs("ray") == idle


def test_what_attempts_wait_for_in_an_executor_is_no_cost_of_it(tmp_path: Path) -> None:
    """Nor does the end of one change what another cost that runs at the same time."""
    (tmp_path / "go").touch()
    backend = msgspec.structs.replace(INLINE, at_once=None, start_s=1.0)
    with contextlib.closing(Pool((backend,), jobs=2, env=dict(os.environ), attempts=str(tmp_path))) as used:
        used.submit(backend, attempt(used, tmp_path, "a"), GRAPHICS)
        end_of(used, "a")
        assert dict(used.costs()) == {}
        for name in ("b", "c"):
            used.submit(backend, attempt(used, tmp_path, name), PLAIN)
        time.sleep(0.2)
        used.note(Ended(task="b", attempt=1, result=result_of("failed", seconds=0.2)))
        used.note(Ended(task="c", attempt=1, result=result_of("succeeded", seconds=0.2)))
        assert dict(used.costs())["inline"].handed_over_s >= 0


def result_of(outcome: AttemptOutcome, *, seconds: float) -> AttemptResult:
    return AttemptResult(outcome=outcome, started=0, ended=int(seconds * 1e9))


@pytest.mark.fault
def test_a_killed_supervisor_is_replaced():
    """What it had started is gone with it; all that is started from then on belongs to another."""
    left = pool(INLINE)
    runtime = left.runtime
    supervisors: list[psutil.Process] = []
    while not supervisors:
        supervisors = [child for child in psutil.Process().children() if runtime in child.cmdline()]
    for supervisor in supervisors:
        supervisor.kill()
    await_true(lambda: left.runtime != runtime, 60, "it was not replaced")
    assert not os.path.exists(runtime)
    left.close()


@pytest.mark.fault
def test_what_was_lost_with_a_worker_is_not_given_to_it_once_more(tmp_path: Path) -> None:
    """Each death of a worker would cost a task two of its attempts."""
    with contextlib.closing(Pool((INLINE,), jobs=1, env=dict(os.environ), attempts=str(tmp_path))) as used:
        used.submit(INLINE, attempt(used, tmp_path, "a"), PLAIN)
        workers: list[psutil.Process] = []
        while not workers:
            below = psutil.Process().children(recursive=True)
            workers = [child for child in below if INLINE.module in child.cmdline()]
        workers[0].kill()
        end_of(used, "a")
        assert used.place(PLAIN) is None
        lost = used.events.get(timeout=90)
        assert isinstance(lost, ExecutorLost)
        used.note(lost)
        assert used.place(PLAIN) == INLINE
