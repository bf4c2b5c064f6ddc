"""Which executor takes a task, before any was started."""

from __future__ import annotations

import dataclasses
import os

import psutil

from nbmake_dag.build.pool import INLINE, RAY, Pool
from nbmake_dag.core.model import Policy, Resources
from nbmake_dag.execute.protocol import ExecutorLost
from tests.core.builders import task
from tests.project import await_true

PLAIN = task("plain")
GRAPHICS = dataclasses.replace(PLAIN, policy=Policy(resources=Resources(gpus=1)))


def pool(mode: str) -> Pool:
    return Pool(mode=mode, jobs=2, cluster=None, env={}, attempts="")


def test_what_needs_a_gpu_waits_for_ray():
    """The rest begins without."""
    fresh = pool("auto")
    assert fresh.place(GRAPHICS) is None
    assert fresh.place(PLAIN) == INLINE


def test_when_ray_is_lost_only_what_can_run_without_goes_on():
    """The rest is given to what is lost, so that it ends, and is not begun again."""
    for mode, runs_plain in (("auto", INLINE), (RAY, RAY)):
        left = pool(mode)
        left.note(ExecutorLost(executor=RAY, reason="it died"))
        assert left.place(PLAIN) == runs_plain
        assert left.cannot_run(PLAIN) == (mode == RAY)
        assert left.place(GRAPHICS) == RAY
        assert left.cannot_run(GRAPHICS)


def test_a_killed_supervisor_is_replaced():
    """What it had started is gone with it; all that is started from then on belongs to another."""
    left = pool("inline")
    runtime = left.runtime
    supervisors: list[psutil.Process] = []
    while not supervisors:
        supervisors = [child for child in psutil.Process().children() if runtime in child.cmdline()]
    for supervisor in supervisors:
        supervisor.kill()
    await_true(lambda: left.runtime != runtime, 60, "it was not replaced")
    assert not os.path.exists(runtime)
    left.close()
