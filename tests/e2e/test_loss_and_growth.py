"""Builds on a cluster whose nodes go, with notice or without, and join meanwhile.

`pytest -m "ray and manual" -n0 -s tests/e2e/test_loss_and_growth.py` has 2,000 tasks on 20 nodes with 10 losses,
takes ten minutes on two cores, and prints what it measured. NBDAG_LOSSES_OF="tasks nodes losses" takes others;
with `-k small`, it takes one. Where other tests run meanwhile, a node may take longer to start than Ray waits,
or be taken for dead, which is no finding: so both are run by hand, on a machine that does nothing else.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import psutil
import pytest

from nbmake_dag_reporting.runs import read_run
from tests.support.project import NBDAG, Project, await_true
from tests.support.ray_nodes import RayNodes

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.manual,
    pytest.mark.timing,
    pytest.mark.fault,
    pytest.mark.timeout(3600),
]

TASKS, NODES, LOSSES = map(int, os.environ.get("NBDAG_LOSSES_OF", "2000 20 10").split())
FIRST = 3
NOTICE_S = 2.0
SLEEP_S = 0.2
"""How long a task sleeps, for each node: all of them share the processors of this machine."""
WITHIN_S = 3000.0


@pytest.fixture
def nodes() -> Iterator[RayNodes]:
    made = RayNodes()
    try:
        yield made
    finally:
        made.close()


def test_a_small_cluster_that_loses_a_node_and_gets_one_makes_the_same(project: Project, nodes: RayNodes) -> None:
    live_through(project, nodes, tasks=30, size=3, losses=1)


def test_a_large_cluster_that_changes_all_the_time_makes_the_same(project: Project, nodes: RayNodes) -> None:
    live_through(project, nodes, tasks=TASKS, size=NODES, losses=LOSSES)


def live_through(project: Project, nodes: RayNodes, *, tasks: int, size: int, losses: int) -> None:
    """Build while all but three nodes still join, and nodes go in turn without notice and with it.

    Each of those is followed by one that joins. Every output is right; no finished task runs twice, and no two
    attempts at one task at the same time; no more is lost than ran on the nodes; the next build has nothing to do.
    """
    begun = time.monotonic()
    for _ in range(FIRST):
        nodes.add()
    say(f"{FIRST} nodes after {time.monotonic() - begun:.0f} s")
    seen = project.root.parent / "seen"
    seen.mkdir()
    project.write("in.txt", "some input\n").pipeline(
        f'''
        [tasks.t]
        command = """
        echo + >> {seen}/{{n}}; sleep {SLEEP_S * size:.1f}
        (echo {{n}}; cat in.txt) > out/{{n}}.txt; echo - >> {seen}/{{n}}
        """
        matrix = {{ n = {list(range(tasks))} }}
        inputs = ["in.txt"]
        outputs = ["out/{{n}}.txt"]
        '''
    )
    begun = time.monotonic()
    log = project.root.parent / "build.log"
    with log.open("wb") as said:
        build = subprocess.Popen(
            [*NBDAG, "build", f"--ray-address={nodes.address}", "--output=errors"],
            cwd=project.root,
            env=project.environment(dict(nodes.environment)),
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    for _ in range(size - FIRST):
        nodes.add()
        say(f"after {time.monotonic() - begun:.0f} s, {done(project)} tasks: a node more")
    chance = random.Random(tasks)
    threads = 0
    for number in range(losses):
        reached = partial(has_done, project, build, (number + 1) * tasks // (losses + 1))
        await_true(reached, WITHIN_S, "no progress")
        assert build.poll() is None, log.read_text()
        threads = max(threads, most_threads(build))
        lost = chance.choice(nodes.nodes)
        how = "with" if number % 2 else "without"
        say(f"after {time.monotonic() - begun:.0f} s, {done(project)} tasks: a node goes {how} notice")
        if number % 2:
            nodes.drain(lost, NOTICE_S)
        else:
            nodes.kill(lost)
        nodes.add()
    assert build.wait(WITHIN_S) == 0, log.read_text()
    say(f"{tasks} tasks in {time.monotonic() - begun:.0f} s; {threads} threads of the executor at most")
    say(f"{nodes.workers_begun()} Ray workers")
    # of each node one that says what it has, and one for all its tasks
    assert nodes.workers_begun() <= 2 * (1 + size + losses)
    (folder,) = project.root.glob(".nbdag/runs/2*")
    outcomes = {
        name: [each.outcome for each in task.attempts] for name, task in read_run(str(folder)).tasks.items()
    }
    say(f"attempts: {Counter(outcome for each in outcomes.values() for outcome in each)}")
    wanted = {f"out/{n}.txt": f"{n}\nsome input\n" for n in range(tasks)}
    assert {path: project.read(path) for path in wanted} == wanted
    assert len(outcomes) == tasks
    assert all(each[-1] == "succeeded" and set(each[:-1]) <= {"lost"} for each in outcomes.values())
    assert sum(len(each) - 1 for each in outcomes.values()) <= losses
    assert not [path.name for path in seen.iterdir() if "+\n+\n-\n-" in path.read_text()]
    project.build().ran()


def has_done(project: Project, build: subprocess.Popen[bytes], count: int) -> bool:
    return build.poll() is not None or done(project) >= count


def done(project: Project) -> int:
    return sum(1 for _ in project.root.glob("out/*.txt"))


def most_threads(build: subprocess.Popen[bytes]) -> int:
    """Return how many threads the executor has, which has one for each attempt."""
    found = 0
    for each in psutil.Process(build.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found = max(found, each.num_threads())
    return found


def say(what: str) -> None:
    sys.stdout.write(f"\n{what}")
