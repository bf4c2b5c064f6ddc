"""Builds that ask a real SLURM for nodes: a controller and three hosts that share no files.

It takes some minutes, and needs root and Debian's `slurm-wlm` and `munge`: `pytest -m slurm -n0 tests/e2e`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import nbmake_dag
from tests.e2e.on_hosts import MNIST, OnHost, at_head, on_all
from tests.support.hosts import Hosts
from tests.support.project import await_true
from tests.support.slurm import NODES, Slurm

pytestmark = [pytest.mark.slow, pytest.mark.manual, pytest.mark.slurm, pytest.mark.timeout(3600)]

GONE_WITHIN_S = 10.0
ON_SLURM = '[ray.slurm]\nnodes = 3\npartition = "work"\n\n'
SLEEPING = "".join(f'[tasks.t{number}]\ncommand = "sleep 4321"\n\n' for number in range(3))


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    cluster = Slurm(tmp_path / "hosts")
    try:
        yield cluster
    finally:
        cluster.close()


def on_slurm(hosts: Hosts, source: Path | None = None) -> OnHost:
    """Make a project on the head alone, whose builds ask for three nodes."""
    project = at_head(hosts, source)
    if source:
        file = project.root / "pipeline.toml"
        file.write_text(ON_SLURM + file.read_text())
    return project


def driver_of(build: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the process of a build on a host, which `nsenter` started."""
    return next(each for each in psutil.Process(build.pid).children(recursive=True) if "build" in each.cmdline())


def await_gone(slurm: Slurm) -> None:
    """Wait for the end of an allocation, which has ended when its nodes are free; say how long that took."""
    begun = time.monotonic()
    await_true(lambda: not slurm.jobs(), GONE_WITHIN_S, "the allocation is still there")
    sys.stderr.write(f"the allocation was gone after {time.monotonic() - begun:.1f} s\n")


def test_the_digits_on_slurm_are_those_of_one_machine(slurm: Slurm, tmp_path: Path) -> None:
    """Built on three nodes; the allocation is gone after it; a second build asks for none."""
    project = on_slurm(slurm, MNIST)
    assert len(project.build("--ray-address=slurm", "-k").having("ran")) == 10
    await_gone(slurm)
    assert set(project.nodes().values()) == {slurm.hosts[name].address for name in NODES}
    project.holds_the_digits_of(tmp_path / "alone")
    project.build("--ray-address=slurm").ran()
    assert slurm.ask("squeue", "-h", "--states=all", "-o", "%i") in {"", "1"}


def test_a_job_that_is_the_build(slurm: Slurm) -> None:
    """The script of the help page, on nodes that see the repository, builds on all of them and ends."""
    project = on_all(slurm)
    page = (Path(nbmake_dag.__file__).parent / "docs/slurm.md").read_text()
    script = re.search(r"```sh build.sbatch\n(.+?)```", page, re.DOTALL)
    assert script
    project.write("build.sbatch", script[1])
    names = [f"t{number}" for number in range(9)]
    project.pipeline(
        "".join(
            f'[tasks.{name}]\ncommand = "sleep 5; hostname > out/{name}.txt"\noutputs = ["out/{name}.txt"]\n'
            for name in names
        )
    )
    slurm.ask("sh", "-c", f"cd {project.root} && sbatch build.sbatch")
    await_true(lambda: not slurm.jobs(), 600, "the job goes on")
    said = project.read("slurm-1.out")
    assert "JobState=COMPLETED" in slurm.ask("scontrol", "show", "job", "1"), said
    assert "9 tasks: 9 ran" in said
    assert {project.read(f"out/{name}.txt").strip() for name in names} == set(NODES)
    # this SLURM has no cgroups to end what became a daemon, and Ray ends without its head after a minute
    await_true(lambda: not rays(slurm), 120, "Ray still runs")


@pytest.mark.parametrize("end", ["failure", "SIGINT", "SIGKILL"])
def test_the_allocation_is_given_back(slurm: Slurm, end: str) -> None:
    """Within ten seconds, however the build ends; nothing of it is left on a node."""
    project = on_slurm(slurm)
    tasks = SLEEPING if end != "failure" else '[tasks.a]\ncommand = "false"\n'
    project.pipeline(ON_SLURM + tasks)
    build = project.start("build", "--ray-address=slurm")
    if end != "failure":
        await_true(lambda: sleepers(slurm) == len(NODES), 300, "not every node works")
        driver_of(build).send_signal(getattr(signal, end))
    if end == "SIGKILL":
        build.kill()
    code = build.wait(300)
    await_gone(slurm)
    assert code in {"failure": {1}, "SIGINT": {130}, "SIGKILL": {-9, 137}}[end], project.log.read_text()
    await_true(lambda: not sleepers(slurm) and not rays(slurm), GONE_WITHIN_S, "something still runs")


def test_a_job_that_waits_is_shown_and_cancelled(slurm: Slurm) -> None:
    """With its state and the reason; Ctrl-C takes it out of the queue."""
    slurm.ask("sh", "-c", "cd / && sbatch --exclusive -N3 --partition=urgent --wrap 'sleep 600'")
    await_true(lambda: slurm.jobs() == ["1 RUNNING"], 60, "the nodes are not taken")
    project = on_slurm(slurm)
    project.pipeline(ON_SLURM + SLEEPING)
    build = project.start("build", "--ray-address=slurm")
    await_true(lambda: "waits: pending (" in project.log.read_text(), 240, "nothing is said")
    assert re.search(r"SLURM job 2 waits: pending \((Resources|Priority)\); Ctrl-C", project.log.read_text())
    driver_of(build).send_signal(signal.SIGINT)
    assert build.wait(30) == 130
    await_true(lambda: slurm.jobs() == ["1 RUNNING"], GONE_WITHIN_S, "the job still waits")


def test_a_preempted_build_goes_on(slurm: Slurm) -> None:
    """SLURM takes the nodes away and gives them back: the same build ends well; no finished task runs twice."""
    project = on_slurm(slurm)
    names = [f"t{number}" for number in range(9)]
    text = "".join(
        f'[tasks.{name}]\ncommand = "sleep 5; echo {name} > out/{name}.txt"\noutputs = ["out/{name}.txt"]\n'
        for name in names
    )
    project.pipeline(ON_SLURM + text)
    build = project.start("build", "--ray-address=slurm")
    await_true(lambda: len(list((project.root / "out").glob("*.txt"))) >= 3, 300, "nothing is done")
    slurm.ask("sh", "-c", "cd / && sbatch --exclusive -N3 --partition=urgent --wrap 'sleep 5'")
    await_true(lambda: build.poll() is not None or "2 RUNNING" in slurm.jobs(), 120, "nothing was preempted")
    done = len(list((project.root / "out").glob("*.txt")))
    assert build.wait(600) == 0, project.log.read_text()
    assert 3 <= done < len(names)
    assert {name: project.read(f"out/{name}.txt") for name in names} == {name: f"{name}\n" for name in names}
    outcomes = [[attempt.outcome for attempt in task.attempts] for task in project.run().tasks.values()]
    assert any("lost" in each for each in outcomes)
    assert all(each.count("succeeded") == 1 for each in outcomes)
    assert "runs again" in project.log.read_text()
    await_gone(slurm)


def test_what_ran_is_kept_when_the_time_is_up(slurm: Slurm) -> None:
    """The build says so; the next ones go on until all is done, and nothing that ended well runs twice."""
    project = on_slurm(slurm)
    names = [f"t{number}" for number in range(24)]
    text = "".join(
        f'[tasks.{name}]\ncommand = "sleep 10; echo {name} > out/{name}.txt"\noutputs = ["out/{name}.txt"]\n'
        for name in names
    )
    project.pipeline('[ray.slurm]\nnodes = 1\ntime = "2m"\n\n' + text)
    first = project.build("--ray-address=slurm", "-k")
    ran = first.having("ran")
    assert (first.code, 0 < len(ran) < len(names)) == (3, True), first.err
    first.said("the SLURM job 1 ended: timeout")
    while first.code == 3:
        await_gone(slurm)
        first = project.build("--ray-address=slurm", "-k")
        assert first.having("ran")
        assert not set(ran) & set(first.having("ran"))
        ran += first.having("ran")
    assert sorted(ran) == sorted(names)
    assert {name: project.read(f"out/{name}.txt") for name in names} == {name: f"{name}\n" for name in names}


def test_the_loss_of_a_node_costs_only_what_ran_on_it(slurm: Slurm) -> None:
    """The others go on, and the login node takes no task meanwhile, not even one without processors."""
    project = on_slurm(slurm)
    names = [f"t{number}" for number in range(12)]
    text = "".join(
        f'[tasks.{name}]\ncommand = "sleep 5; echo {name} > out/{name}.txt"\noutputs = ["out/{name}.txt"]\n'
        f"resources = {{ cpus = {number % 2} }}\n"
        for number, name in enumerate(names)
    )
    project.pipeline(ON_SLURM + text)
    build = project.start("build", "--ray-address=slurm")
    await_true(lambda: list((project / "out").glob("*.txt")), 300, "nothing is done")
    slurm.hosts["third"].kill()
    assert build.wait(300) == 0, project.log.read_text()
    assert {name: project.read(f"out/{name}.txt") for name in names} == {name: f"{name}\n" for name in names}
    outcomes = [[attempt.outcome for attempt in task.attempts] for task in project.run().tasks.values()]
    assert all(each[-1] == "succeeded" and set(each[:-1]) <= {"lost"} for each in outcomes)
    assert set(project.nodes().values()) <= {slurm.hosts[name].address for name in NODES}
    await_true(lambda: "RUNNING" not in " ".join(slurm.jobs()), GONE_WITHIN_S, "the allocation is still there")


def test_a_refusal_of_sbatch_is_passed_on(slurm: Slurm) -> None:
    """As one error, and nothing is written."""
    project = on_slurm(slurm)
    project.pipeline(ON_SLURM.replace("work", "nowhere") + SLEEPING)
    done = project.nbdag("build", "--ray-address=slurm")
    assert done.returncode == 2
    assert "error: sbatch gives no allocation: sbatch: error: invalid partition specified: nowhere" in done.stderr
    assert not (project.root / ".nbdag/runs").exists() or not os.listdir(project.root / ".nbdag/runs")


def sleepers(slurm: Slurm) -> int:
    """Return how many nodes work on a task that does not end."""
    return sum(bool(found(slurm, name, "sleep 4321")) for name in NODES)


def rays(slurm: Slurm) -> list[str]:
    """Return the nodes on which something of Ray runs."""
    return [name for name in ("head", *NODES) if found(slurm, name, "raylet")]


def found(slurm: Slurm, name: str, pattern: str) -> bool:
    host = slurm.hosts[name]
    # what has ended and is waited for by nobody does not count
    search = ["pgrep", "--runstates", "D,R,S", "-f", pattern]
    return subprocess.run(host.command(search), capture_output=True, check=False).returncode == 0
