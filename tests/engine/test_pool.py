"""Which executor takes a task, before any was started."""

from __future__ import annotations

import dataclasses
import os

import psutil
import pytest

from nbmake_dag.core.model import Policy, Resources
from nbmake_dag.engine.dispatch.pool import Pool
from nbmake_dag.execute.executor_kind import Backend
from nbmake_dag.execute.protocol import ExecutorLost
from tests.core.builders import task
from tests.support.project import await_true

PLAIN = task("plain")
GRAPHICS = dataclasses.replace(PLAIN, policy=Policy(resources=Resources(gpus=1)))


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
