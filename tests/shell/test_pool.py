"""Which executor takes a task, before any was started."""

from __future__ import annotations

import dataclasses

from nbmake_dag.build.pool import INLINE, RAY, Pool
from nbmake_dag.core.model import Policy, Resources
from nbmake_dag.execute.protocol import ExecutorLost
from tests.core.builders import task

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
