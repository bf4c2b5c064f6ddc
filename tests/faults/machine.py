"""A machine that refuses: full disks, failing system calls, another time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

from tests.faults.campaign import NotInjectedError, Row, Trials
from tests.faults.kills import MUTATING, make, most_calls, no_strace, traced
from tests.faults.victims import Victim, commands_victim
from tests.support.hosts import can_make_hosts
from tests.support.project import DEADLINE_S, NBDAG, Project

_ERRORS = ("EIO", "EROFS", "EDQUOT", "ENOSPC", "EMFILE")
_TO_FILES = MUTATING.removeprefix("write,writev,")
"""Calls that concern files alone: `write` also goes to pipes and terminals, of which no disk is full."""
_DESCRIPTORS = "socket,socketpair,pipe2,dup,fcntl,epoll_create1,accept4,memfd_create"
_FULL = ("workspace", "state", "temporary")
_DAY_S = 86_400
_CLOCK = """
import os, time
_real, _real_ns, _shift = time.time, time.time_ns, float(os.environ["SHIFT_S"])
time.time = lambda: _real() + _shift
time.time_ns = lambda: _real_ns() + int(_shift * 1e9)
"""


def no_mounts() -> str:
    return "" if can_make_hosts() else "no file system can be mounted without root"


def failed_well(code: int, said: str) -> None:
    """Claim that a build ended as one that the machine failed: with one error, or a failed task."""
    assert code in {0, 1, 3}, f"exit {code}\n{said}"
    assert "defect" not in said, said
    assert "Traceback" not in said, said


def at_failing_calls(folder: Path) -> Trials:
    """Let the Nth call of each process that changes a file fail, or the Nth that makes a descriptor."""
    victim = commands_victim(folder / "victim")
    log = folder / "calls"

    def run(number: int, chance: Random, place: Path) -> None:
        error = _ERRORS[number % len(_ERRORS)]
        calls = _DESCRIPTORS if error == "EMFILE" else _TO_FILES
        state = chance.choice(("cold", "warm", "restore"))
        project = make(state, victim, place)
        at = chance.randrange(1, 30 if error == "EMFILE" else 250)
        inject = ["-o", str(log), "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={at}"]
        done = traced(project, inject)
        if most_calls(log) < at:
            raise NotInjectedError(f"no process made {at} calls")
        if done.stderr.rstrip().endswith("<no Python frame>"):
            raise NotInjectedError("Python itself could not start")
        failed_well(done.returncode, done.stderr)
        clean = victim.old if state == "restore" else victim.new
        victim.is_whole(project)
        victim.holds(project, clean=clean)

    return Trials(count=200, run=run)


def on_a_full_disk(folder: Path) -> Trials:
    """Build where the project, `.nbdag` or the temporary folder is on a file system of some size."""
    victim = commands_victim(folder / "victim")

    def run(number: int, chance: Random, place: Path) -> None:
        project = victim.copy(place)
        where = _FULL[number % len(_FULL)]
        size = chance.randrange(1, 80) * 4096 * (1 if where == "temporary" else 8)
        script = _mounted(where, project, place, size)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script, "sh", *NBDAG, "build"],
            cwd=project.root,
            env=project.environment({"TMPDIR": str(place / "tmp"), "XDG_RUNTIME_DIR": ""}),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        if done.returncode == 99:
            raise NotInjectedError(f"{where} does not fit into {size} bytes before it is built")
        failed_well(done.returncode, done.stderr)
        victim.is_whole(project)
        victim.holds(project)

    return Trials(count=100, run=run)


def _mounted(where: str, project: Project, place: Path, size: int) -> str:
    """Return a script that builds on a small file system, and copies what is there back to the disk."""
    (place / "tmp").mkdir(mode=0o700)
    inside = {"workspace": project.root, "state": project / ".nbdag", "temporary": place / "tmp"}[where]
    return f"""
        cp -a {inside} {place}/before
        mount -t tmpfs -o mode=700,size={size} none {inside}
        cp -a {place}/before/. {inside}/ 2>/dev/null || exit 99
        cd {project.root}
        code=0; "$@" || code=$?
        rm -rf {place}/after; cp -a {inside} {place}/after
        cd /; umount -l {inside}
        find {inside} -mindepth 1 -delete; cp -a {place}/after/. {inside}/
        exit $code
    """


def at_another_time(folder: Path) -> Trials:
    """Build with a clock that is wrong, on inputs whose times are, and after edits within one second."""
    victim = commands_victim(folder / "victim")
    (folder / "clock").mkdir()
    (folder / "clock" / "sitecustomize.py").write_text(_CLOCK)

    def run(number: int, chance: Random, place: Path) -> None:
        project = victim.copy(place)
        edited = project / "in.txt"
        env: dict[str, str] = {}
        match number % 5:
            case 0 | 1:
                shift = _DAY_S * (1 if number % 5 else -1)
                env = {"PYTHONPATH": str(folder / "clock"), "SHIFT_S": str(shift)}
            case 2:
                moment = chance.choice((0, 1, 2**32))
                os.utime(edited, (moment, moment))
            case 3:
                _make_coarse(edited)
            case _:
                _same_second(project, victim)
        build = project.build(env=env)
        assert build.code == 0, build.err
        assert project.contents(victim.outputs) == victim.new, build.err
        for text in chance.choices(("new", "old", "abc"), k=3):
            before = edited.stat()
            project.write("in.txt", text)
            if chance.random() < 0.5:
                os.utime(edited, ns=(before.st_atime_ns, before.st_mtime_ns))
            else:
                _make_coarse(edited)
            build = project.build(env=env if chance.random() < 0.5 else {})
            assert build.code == 0, build.err
            assert project.read("c.txt") == text * 3, build.err
        again = project.build()
        assert again.having("ran") == [], again.err

    return Trials(count=50, run=run)


def _make_coarse(path: Path) -> None:
    """Give a file a time as FAT has it, of two seconds."""
    seconds = int(path.stat().st_mtime) // 2 * 2
    os.utime(path, (seconds, seconds))


def _same_second(project: Project, victim: Victim) -> None:
    """Build what was there before, and edit the input at once, with the same size and time."""
    project.write("in.txt", "old")
    before = (project / "in.txt").stat()
    build = project.build()
    assert project.contents(victim.outputs) == victim.old, build.err
    project.write("in.txt", "new")
    os.utime(project / "in.txt", ns=(before.st_atime_ns, before.st_mtime_ns))


ROWS = (
    Row(
        name="failing-calls",
        what="`EIO`, `EROFS`, `EDQUOT`, `ENOSPC`, `EMFILE` at the Nth call",
        prepare=at_failing_calls,
        missing=no_strace,
    ),
    Row(
        name="full-disk",
        what="`ENOSPC` on the workspace, `.nbdag` and `TMPDIR`, sizes swept",
        prepare=on_a_full_disk,
        missing=no_mounts,
    ),
    Row(
        name="clocks",
        what="clocks of another day, 1970, coarse times, fast edits",
        prepare=at_another_time,
    ),
)
