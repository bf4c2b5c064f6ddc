"""The process above all that a build starts: it ends the whole tree when the driver is gone.

A script of its own, run as ``python -I -S supervisor.py RUNTIME [--detached]`` with a socket to the driver as
standard input. It is a child subreaper, so daemonised grandchildren stay below it. When the driver's end closes,
for any reason, it freezes and kills every descendant, removes RUNTIME and the folders that the driver would
have removed, which may hold secrets, and exits. It never touches the driver's standard streams.

Both directions carry frames: four bytes of length, then what `marshal` makes, as both ends run the same Python.
Orders are ``{"spawn": number, "argv", "env", "cwd", "log"}`` with the descriptors that the child gets as 3, 4 and
so on attached to the length, ``{"kill": number, "signal"}``, ``{"clear": folders}``, and ``{"last": argv}``, a
command that gives back what no process here holds, run when all are dead. Reports are
``{"exited": number, "status"}``, as `os.waitstatus_to_exitcode` has it.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import marshal
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

DETACHED = "--detached"
"""The option with which it leaves the process that started it."""
MAX_DESCRIPTORS = 8
NOT_STARTED = 127
"""Exit status of a program that could not be started; its log has the reason."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_END_WITHIN_S = 14.0
_LAST_TRIES = 5
_LAST_AGAIN_S = 2.0
_LAST_WITHIN_S = 30.0
_LOOK_S = 0.1
_DESCRIPTORS = 4096
_THREADS = 17
"""The place of the number of threads among the fields of ``/proc/PID/stat`` that follow the name."""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  # the driver imports this module too, and starts no process itself

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def become_subreaper() -> None:
    """Have whatever is orphaned below this process become its child."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def parents() -> dict[int, int]:
    """Map every process to its parent; zombies, which are past killing, are left out.

    One whose first thread alone has ended looks like a zombie; it still runs, and has its children.
    """
    found: dict[int, int] = {}
    if sys.platform != "linux":
        import subprocess  # noqa: PLC0415

        listing = subprocess.run(["/bin/ps", "-Ao", "pid=,ppid=,stat="], capture_output=True, check=True).stdout
        rows = [line.split() for line in listing.splitlines()]
        return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith(b"Z")}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                if fields[0] != b"Z" or int(fields[_THREADS]) > 1:
                    found[int(name)] = int(fields[1])
    return found


def descendants(ancestor: int) -> set[int]:
    tree = parents()
    below: set[int] = set()
    layer = {ancestor}
    while layer := {pid for pid, parent in tree.items() if parent in layer} - below:
        below |= layer
    return below


def end_descendants(ancestor: int) -> None:
    """Kill every process below ``ancestor``, which must be the subreaper that calls this.

    They are frozen first, so that none can fork while the others are killed.
    """
    deadline = time.monotonic() + _END_WITHIN_S
    frozen: set[int] = set()
    while fresh := descendants(ancestor) - frozen:
        _signal_all(fresh, signal.SIGSTOP)
        frozen |= fresh
    while (left := descendants(ancestor)) and time.monotonic() < deadline:
        _signal_all(left, signal.SIGKILL)
        time.sleep(0.01)
        _reap()


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap() -> list[tuple[int, int]]:
    ended: list[tuple[int, int]] = []
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(found)
    return ended


def receive(connection: socket.socket) -> tuple[Any, list[int]] | None:
    """Read one frame and the descriptors that came with it; ``None`` at the end."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, MAX_DESCRIPTORS)
    if not head:
        return None
    while len(head) < 4:
        head += connection.recv(4 - len(head)) or _torn()
    size = int.from_bytes(head, "big")
    body = bytearray()
    while len(body) < size:
        body += connection.recv(size - len(body)) or _torn()
    return marshal.loads(body), descriptors  # noqa: S302  # from a private socket


def send(connection: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    body = marshal.dumps(message)
    head = len(body).to_bytes(4, "big")
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sent = connection.sendmsg([head, body], ancillary)
    connection.sendall((head + body)[sent:])


def _torn() -> NoReturn:
    raise EOFError


def _spawn(order: dict[str, Any], descriptors: list[int]) -> int | None:
    """Return the process id; ``None`` where the machine refuses a process; the log then has the reason."""
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        pid = None
        _note(order["log"], f"{order['argv'][0]}: {error.strerror}\n")
    if pid != 0:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(NOT_STARTED)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 3 + MAX_DESCRIPTORS) for descriptor in descriptors]
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for position, descriptor in enumerate(moved):
            os.dup2(descriptor, 3 + position)
        os.closerange(3 + len(moved), _DESCRIPTORS)
        os.chdir(order["cwd"])
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606  # the point of it
    except OSError as error:
        os.write(2, f"{order['argv'][0]}: {error.strerror}\n".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(NOT_STARTED)


def _note(log: str, text: str) -> None:
    with contextlib.suppress(OSError):  # the exit code says enough
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)


def _wake(_number: int, _frame: object) -> None:
    """Have Python write to the wake-up socket, which it does for handled signals only."""


def _end(_number: int, _frame: object) -> None:
    sys.exit()


def serve(connection: socket.socket, folders: list[str], last: list[list[str]]) -> None:
    """Carry out orders and report exits until the driver's end closes or SIGTERM comes.

    ``folders`` gets those that are to be removed when the driver is gone, ``last`` the commands to run then.
    """
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    numbers: dict[int, int] = {}
    pids: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([connection, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            for pid, status in _reap():
                if pid in numbers:
                    del pids[number := numbers.pop(pid)]
                    send(connection, {"exited": number, "status": os.waitstatus_to_exitcode(status)})
        if connection in ready:
            received = receive(connection)
            if received is None:
                return
            order, descriptors = received
            folders += order.get("clear", [])
            last += [order["last"]] if "last" in order else []
            if "spawn" in order:
                child = _spawn(order, descriptors)
                if child is None:
                    send(connection, {"exited": order["spawn"], "status": NOT_STARTED})
                    continue
                numbers[child] = order["spawn"]
                pids[order["spawn"]] = child
            elif order.get("kill") in pids:
                os.killpg(pids[order["kill"]], order["signal"])


def _run_last(argv: list[str]) -> None:
    """Run a command, again if it fails or takes too long; its output goes to the log."""
    for _ in range(_LAST_TRIES):
        try:
            pid = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=[signal.SIGTERM])
        except OSError:
            return
        if _status_within(pid, _LAST_WITHIN_S) == 0:
            return
        time.sleep(_LAST_AGAIN_S)


def _status_within(pid: int, seconds: float) -> int:
    """Wait for a child; kill it if it takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(_LOOK_S)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def main(runtime: str, *, detached: bool) -> None:
    import shutil  # noqa: PLC0415

    if detached and os.fork():
        os._exit(0)
    # whatever the driver's own parent left open in it, such as a second name of its standard output
    os.closerange(3, _DESCRIPTORS)
    become_subreaper()
    os.chdir("/")
    lock = os.open(os.path.join(runtime, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    connection = socket.socket(fileno=0)
    connection.set_inheritable(False)
    folders: list[str] = []
    last: list[list[str]] = []
    try:
        serve(connection, folders, last)
    except (ConnectionError, EOFError):
        pass
    except SystemExit:
        # the driver goes on with another
        folders.clear()
    finally:
        # whoever ends all processes must not keep it from what is left to do
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_descendants(os.getpid())
        # they may hold secrets, and a command may take its time
        for folder in (runtime, *folders):
            shutil.rmtree(folder, ignore_errors=True)
        for argv in last:
            _run_last(argv)


if __name__ == "__main__":
    main(sys.argv[1], detached=DETACHED in sys.argv)
