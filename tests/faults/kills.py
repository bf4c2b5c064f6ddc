"""`kill -9`: of a build at each of its system calls that change something, and of each of its processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from tests.e2e.test_kill import Victim as TimedVictim
from tests.faults.campaign import NotInjectedError, Row, Trials
from tests.faults.victims import Victim, commands_victim, mixed_victim, without_a_past
from tests.support.project import DEADLINE_S, NBDAG, Project, kill

MUTATING = (
    "write,writev,pwrite64,copy_file_range,sendfile,ftruncate,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,utimensat"
)
RAY = ("raylet", "gcs_server", "ray-worker", "ray-host")
COMMAND_LINES = {
    "supervisor": "supervisor_process.py",
    "worker": "nbmake_dag.execute.worker",
    "zygote": "inside/zygote.py",
    "kernel": "",
    "raylet": "/raylet ",
    "gcs_server": "/gcs_server ",
    "ray-worker": "default_worker.py",
    "ray-host": "nbmake_dag.execute.ray.host",
}
"""What is in the command line of a process; a forked kernel has that of its zygote."""


def no_strace() -> str:
    """Try it: where it is installed it may still not be allowed."""
    if shutil.which("strace") is None:
        return "`strace` is not installed"
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "`strace` may not trace here"


def no_ray() -> str:
    done = subprocess.run([sys.executable, "-c", "import ray"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "Ray is not installed"


def traced(project: Project, options: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a build under strace, with all that it starts."""
    return subprocess.run(
        ["strace", "-f", "-qq", *options, *NBDAG, "build", *arguments],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def most_calls(log: Path) -> int:
    """Return how many calls strace has seen of the thread that made the most."""
    return max(Counter(line.split(None, 1)[0] for line in log.read_text().splitlines()).values(), default=0)


def make(state: str, victim: Victim, folder: Path) -> Project:
    """Copy a victim: never built (cold), with a changed input (warm), or without its outputs (restore)."""
    project = victim.copy(folder)
    match state:
        case "cold":
            without_a_past(victim, project)
        case "restore":
            project.write("in.txt", "old").remove(*victim.outputs)
        case _:
            pass
    return project


def at_calls(state: str, arguments: tuple[str, ...], folder: Path) -> Trials:
    """Kill each process of a build when it makes the Nth call: the driver, unless another comes so far."""
    victim = commands_victim(folder / "victim")
    scratch = folder / "first"
    scratch.mkdir()
    log, trace = folder / "calls", ["-e", f"trace={MUTATING}"]
    done = traced(make(state, victim, scratch), ["-o", str(log), *trace], *arguments)
    assert done.returncode == 0, done.stderr

    def run(number: int, chance: Random, place: Path) -> None:
        del chance
        project = make(state, victim, place)
        inject = f"inject={MUTATING}:signal=KILL:when={number + 1}"
        traced(project, ["-o", str(log), *trace, "-e", inject], *arguments)
        if most_calls(log) <= number:
            raise NotInjectedError(f"no process made {number + 1} calls")
        victim.holds(project, *arguments, clean=victim.old if state == "restore" else victim.new)

    return Trials(count=most_calls(log), run=run)


def of_the_driver(folder: Path) -> Trials:
    """Kill a build with notebooks at a random moment."""
    folder.mkdir()
    timed = TimedVictim.of("quickstart", folder, ["data", "charts", "report.html"])

    def run(number: int, chance: Random, place: Path) -> None:
        del number, place
        timed.survives(chance.random())

    return Trials(count=100, run=run)


def of_another(role: str, folder: Path) -> Trials:
    """Kill one process of a build, some time after it has begun."""
    victim = mixed_victim(folder / "victim")
    arguments = ("--executor=ray",) if role in RAY else ()

    def run(number: int, chance: Random, place: Path) -> None:
        del number
        project = victim.copy(place)
        build = project.start("build", *arguments)
        begun, wait_s = time.monotonic(), chance.random()
        while not _killed(project, role, chance, after=begun + wait_s):
            if build.poll() is not None:
                raise NotInjectedError(f"the build ended before a {role} could be killed")
            time.sleep(0.01)
        try:
            code = build.wait(DEADLINE_S)
        finally:
            kill(build)
        assert code in {0, 1, 3}, code
        victim.holds(project)

    return Trials(count=10, run=run)


def _killed(project: Project, role: str, chance: Random, after: float) -> bool:
    """Kill one process in a role, if there is one at this moment."""
    pids = in_the_role(project, role) if time.monotonic() >= after else []
    try:
        os.kill(chance.choice(pids), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


def in_the_role(project: Project, role: str) -> list[int]:
    running = project.processes()
    if role == "kernel":
        zygotes = set(in_the_role(project, "zygote"))
        return [pid for pid in zygotes if _parent(pid) in zygotes]
    return [pid for pid, command in running.items() if COMMAND_LINES[role] in f"{command} "]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


ROWS = (
    *(
        Row(
            name=f"kill-at-calls-{state}",
            what=f"`SIGKILL` at the Nth call that changes something, {state}",
            prepare=partial(at_calls, state, ("--executor=inline",)),
            missing=no_strace,
        )
        for state in ("cold", "warm", "restore")
    ),
    Row(
        name="kill-at-calls-ray",
        what="`SIGKILL` at the Nth call that changes something, on Ray",
        prepare=partial(at_calls, "warm", ("--executor=ray",)),
        missing=lambda: no_strace() or no_ray(),
    ),
    Row(name="kill-driver", what="`kill -9` of a build with notebooks, at random", prepare=of_the_driver),
    *(
        Row(
            name=f"kill-{role}",
            what=f"`kill -9` of the {role.replace('-', ' ')}",
            prepare=partial(of_another, role),
            missing=no_ray if role in RAY else lambda: "",
        )
        for role in COMMAND_LINES
    ),
)
