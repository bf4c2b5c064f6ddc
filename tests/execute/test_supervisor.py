"""Whatever happens to a build, nothing that it started outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest

from nbmake_dag.execute.processes import runtime_dir
from nbmake_dag.execute.processes.runtime_dir import MARKER, RuntimeDir
from nbmake_dag.execute.processes.supervisor import SUPERVISOR_GONE, Supervisor
from nbmake_dag.execute.processes.supervisor_process import NOT_STARTED
from tests.support.limits import python_without_fork

pytestmark = pytest.mark.timing

READY_WITHIN_S = 60
LEFT_AFTER_S = 5

FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(0), os.close(1), os.close(2)
        time.sleep(1000)
    os._exit(0)
os.wait()
if os.fork() == 0:
    time.sleep(1000)
open(sys.argv[1], "w").close()
time.sleep(1000)
"""
"""A parent, a child and a daemonised grandchild; all ignore what asks them politely."""

DRIVER = """
import os, sys, time
from nbmake_dag.execute.processes.runtime_dir import RuntimeDir
from nbmake_dag.execute.processes.supervisor import Supervisor
os.dup2(1, 9)
runtime = RuntimeDir.create()
supervisor = Supervisor.start(runtime)
supervisor.spawn([sys.executable, "-c", sys.argv[1], sys.argv[2]], env=dict(os.environ), cwd="/",
                 log=runtime.join("child.log"))
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
print(runtime.path, flush=True)
sys.stdin.readline()
exec(sys.argv[3])
"""


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give these tests a place for runtime folders of their own, short, and empty again at their end."""
    folder = Path("/tmp") / f"nbt{os.urandom(3).hex()}"
    folder.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    wanted = folder / "nbdag"

    def is_swept_empty() -> bool:
        runtime_dir._sweep(str(wanted))
        return not os.listdir(wanted)

    empty = not wanted.is_dir() or eventually(is_swept_empty)
    shutil.rmtree(folder)
    assert empty


def eventually(claim: Callable[[], bool], within: float = LEFT_AFTER_S) -> bool:
    deadline = time.monotonic() + within
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def of_build(runtime: str) -> list[psutil.Process]:
    """Every living process that carries the mark of a build."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == runtime and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def driver(tmp_path: Path, then: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, FAMILY, str(tmp_path / "ready"), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    runtime = process.stdout.readline().strip()
    assert len(of_build(runtime)) == 3
    process.stdin.write("\n")
    process.stdin.flush()
    return process, runtime


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_driver_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """Children that ignore SIGTERM and daemonised grandchildren end, and so do the supervisor and its folder."""
    process, runtime = driver(tmp_path, "time.sleep(1000)")
    supervisors = psutil.Process(process.pid).children()
    process.send_signal(number)
    process.communicate()
    assert eventually(lambda: not of_build(runtime))
    assert eventually(lambda: not any(supervisor.is_running() for supervisor in supervisors))
    assert not os.path.exists(runtime)


def test_a_driver_that_ends_or_closes_leaves_no_process(tmp_path: Path) -> None:
    """An ordinary end and `close` do the same as a kill."""
    process, runtime = driver(tmp_path, "supervisor.close()")
    process.communicate()
    assert process.returncode == 0
    assert eventually(lambda: not of_build(runtime))


def test_nothing_holds_the_drivers_standard_output(tmp_path: Path) -> None:
    """Whoever reads a build's output through a pipe sees its end with the driver's; 9 is a second name of it."""
    process, runtime = driver(tmp_path, "os.kill(os.getpid(), 19)")
    assert process.stdout is not None
    children = [psutil.Process(process.pid).children()[0], *of_build(runtime)]
    pipe = os.readlink(f"/proc/self/fd/{process.stdout.fileno()}")
    for child in children:
        held = {os.readlink(entry) for entry in Path(f"/proc/{child.pid}/fd").iterdir()}
        assert pipe not in held
    process.kill()
    process.communicate()


@pytest.mark.fault
def test_a_killed_supervisor_takes_everything_along(tmp_path: Path) -> None:
    """Direct children die by their death signal, the driver ends the rest by their mark, all are reported gone."""
    runtime = RuntimeDir.create()
    supervisor = Supervisor.start(runtime)
    statuses: SimpleQueue[int] = SimpleQueue()
    supervisor.spawn(
        [sys.executable, "-c", FAMILY, str(tmp_path / "ready")],
        env=dict(os.environ),
        cwd="/",
        log=runtime.join("log"),
        on_exit=statuses.put,
    )
    assert eventually((tmp_path / "ready").exists, READY_WITHIN_S)
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert statuses.get(timeout=LEFT_AFTER_S) == SUPERVISOR_GONE
    assert eventually(lambda: not of_build(runtime.path))
    supervisor.close()


HEADLESS = """
import ctypes, os, platform, sys, threading, time
child = os.fork()
if child == 0:
    time.sleep(1000)
threading.Thread(target=time.sleep, args=(1000,)).start()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(child))
os.rename(sys.argv[1] + ".new", sys.argv[1])
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""
"""A process whose first thread has ended: it looks like a zombie, and goes on, as its child does."""


def test_what_looks_dead_and_is_not_is_ended_with_its_children(tmp_path: Path) -> None:
    """As Ray's raylet does for a while when it is told to end."""
    runtime = RuntimeDir.create()
    supervisor = Supervisor.start(runtime)
    ready = tmp_path / "ready"
    argv = [sys.executable, "-c", HEADLESS, str(ready)]
    supervisor.spawn(argv, env=dict(os.environ), cwd="/", log=runtime.join("log"))
    assert eventually(ready.exists, READY_WITHIN_S)
    child = psutil.Process(int(ready.read_text()))
    assert eventually(lambda: psutil.Process(child.ppid()).status() == psutil.STATUS_ZOMBIE)
    supervisor.close()
    assert eventually(lambda: not child.is_running())


def test_exits_are_reported_once_with_their_status() -> None:
    """An exit code, a signal, and a program that does not exist: 127, with the reason in its log."""
    runtime = RuntimeDir.create()
    supervisor = Supervisor.start(runtime)
    seen: dict[str, list[int]] = {"exit": [], "signal": [], "missing": []}
    commands = {"exit": ["sh", "-c", "exit 7"], "signal": ["sh", "-c", "kill -9 $$"], "missing": ["no-such"]}
    for name, argv in commands.items():
        supervisor.spawn(argv, env=dict(os.environ), cwd="/", log=runtime.join(name), on_exit=seen[name].append)
    assert eventually(lambda: all(seen.values()), READY_WITHIN_S)
    assert seen == {"exit": [7], "signal": [-9], "missing": [127]}
    assert Path(runtime.join("missing")).read_text() == ("no-such: No such file or directory\n")
    supervisor.close()


def test_kill_reaches_the_group_of_a_child(tmp_path: Path) -> None:
    """A signal for a child also reaches the processes that it started in its group."""
    runtime = RuntimeDir.create()
    supervisor = Supervisor.start(runtime)
    status: list[int] = []
    script = f"sleep 1000 & touch {tmp_path / 'ready'}; wait"
    number = supervisor.spawn(
        ["sh", "-c", script], env=dict(os.environ), cwd="/", log=runtime.join("log"), on_exit=status.append
    )
    assert eventually((tmp_path / "ready").exists, READY_WITHIN_S)
    supervisor.kill(number, signal.SIGTERM)
    assert eventually(lambda: status == [-15])
    assert eventually(lambda: not of_build(runtime.path))
    supervisor.kill(number)
    supervisor.close()


def test_children_get_descriptors_environment_and_default_signals(tmp_path: Path) -> None:
    """Descriptors arrive as 3, 4, ...; nothing else is open; no signal is blocked or ignored."""
    runtime = RuntimeDir.create()
    supervisor = Supervisor.start(runtime)
    status: list[int] = []
    names = [tmp_path / "three", tmp_path / "four"]
    files = [os.open(name, os.O_RDWR | os.O_CREAT) for name in names]
    code = (
        "import os, signal; print(sorted(os.listdir('/proc/self/fd'))[:-1], os.getcwd(), os.environ['ODD'],"
        "signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGHUP));"
        "os.write(3, b'3'); os.write(4, b'4')"
    )
    supervisor.spawn(
        [sys.executable, "-c", code],
        env={**os.environ, "ODD": "\udcff €", "PYTHONIOENCODING": "utf-8:surrogateescape"},
        cwd=str(tmp_path),
        log=runtime.join("log"),
        descriptors=files,
        on_exit=status.append,
    )
    for file in files:
        os.close(file)
    assert eventually(lambda: status == [0], READY_WITHIN_S)
    assert Path(runtime.join("log")).read_bytes() == (
        f"['0', '1', '2', '3', '4'] {tmp_path} ".encode() + b"\xff \xe2\x82\xac set() 0\n"
    )
    assert [name.read_text() for name in names] == ["3", "4"]
    supervisor.close()


def test_folders_of_dead_builds_are_swept_and_living_ones_are_not(base: Path) -> None:
    """A lock that the kernel drops decides, not a process id; marked processes of a dead build are ended."""
    living, dead = RuntimeDir.create(), RuntimeDir.create()
    Path(dead.join("socket")).touch()
    orphan = subprocess.Popen(["sleep", "1000"], env={**os.environ, MARKER: dead.path})
    mark = f"{MARKER}={dead.path}".encode()
    assert eventually(lambda: mark in Path(f"/proc/{orphan.pid}/environ").read_bytes(), READY_WITHIN_S)
    dead.release()
    created = RuntimeDir.create()
    assert orphan.wait(LEFT_AFTER_S) == -9
    assert sorted((base / "nbdag").iterdir()) == sorted([Path(living.path), Path(created.path)])
    living.release()
    created.release()


def test_folders_that_were_never_locked_are_swept_when_they_are_old(base: Path) -> None:
    """A build that was killed at once left them; one that is just beginning is not disturbed."""
    RuntimeDir.create().release()
    old, fresh = base / "nbdag" / "old", base / "nbdag" / "fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, time.time() - 4000))
    created = RuntimeDir.create()
    assert sorted((base / "nbdag").iterdir()) == sorted([fresh, Path(created.path)])
    fresh.rmdir()
    created.release()


def test_a_process_that_the_machine_refuses_ends_as_one_that_cannot_be_started(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log has the system's reason; the supervisor goes on, and starts the next one."""
    created = RuntimeDir.create()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", python_without_fork(tmp_path, 1))
        supervisor = Supervisor.start(created)
    log = created.join("log")
    for status in (NOT_STARTED, 0):
        exits: SimpleQueue[int | str] = SimpleQueue()
        supervisor.spawn(["/bin/true"], env={}, cwd="/", log=log, on_exit=exits.put)
        assert exits.get(timeout=READY_WITHIN_S) == status
    assert Path(log).read_text() == "/bin/true: Resource temporarily unavailable\n"
    supervisor.close()


@pytest.mark.parametrize("bad", ["open", "long", "link", "file"])
def test_a_folder_that_is_not_private_and_short_is_not_used(
    bad: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next candidate is taken: the temporary folder of the system, with the user's id."""
    fallback = base / "t"
    fallback.mkdir()
    monkeypatch.setenv("TMPDIR", str(fallback))
    wanted = base / "nbdag"
    if bad == "open":
        wanted.mkdir(0o755)
    elif bad == "long":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / ("long" * 10)))
    elif bad == "link":
        wanted.symlink_to(base / "elsewhere")
    else:
        wanted.touch()
    created = RuntimeDir.create()
    assert Path(created.path).parent == fallback / f"nbdag-{os.getuid()}"
    assert os.stat(created.path).st_mode & 0o777 == 0o700
    assert len(created.path) <= runtime_dir._LONGEST_BASE + 7
    created.release()
