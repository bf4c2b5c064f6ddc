"""Fork kernels from a process that has imported what they need; start other programs in the same way.

A script for any Python, run by path: standard library only, and ipykernel where it is asked for.

    python zygote.py LISTENING_FD RUNTIME_DIRECTORY [--kernels [MODULE...]]

A client connects and sends one `Request`, with the descriptor that becomes standard output and error. It is answered
by one line of JSON with the process id, and a second one with the exit when the process has ended. Each byte that the
client sends is a signal for the process group, and a closed connection is SIGKILL. When the process ends, whatever
is left of its group is killed. The zygote ends, and its processes with it, when its parent or the runtime directory
is gone, or when a client asks for it. It has no threads, and no zmq context.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import gc
import io
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from importlib import import_module
from typing import Any

PR_SET_PDEATHSIG = 1
HEADER = struct.Struct("!I")
POLL_RUNTIME = 1000
"""Milliseconds between looks at whether the runtime directory is there."""
SILENT_CLIENT = 10.0
"""Seconds to wait for the rest of a request."""

# What IPKernelApp and a first cell import late.
KERNEL_MODULES = """
    IPython.core.completerlib IPython.core.debugger IPython.core.oinspect IPython.extensions.storemagic
    comm faulthandler ipykernel.debugger ipykernel.kernelapp ipykernel.shellchannel
    ipykernel.subshell_manager matplotlib_inline.config nbmake_dag.inside.start psutil sqlite3 stack_data
    tornado.platform.asyncio tornado.queues zmq.asyncio
""".split()


class Process:
    """A running child and the client that waits for it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection

    def signal(self, number: int) -> None:
        """Signal the whole group; the process alone as long as it has none of its own."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            os.kill(self.pid, number)

    def reap(self) -> bool:
        """Report the end to the client, if it has come. The group is killed while the id cannot be reused."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        self.signal(signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        end = {
            "exit_code": os.waitstatus_to_exitcode(status),
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_rss": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        }
        answer(self.connection, end)
        return True


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    runtime, kernels, modules = sys.argv[2], "--kernels" in sys.argv[3:4], sys.argv[4:]
    become_orphan()
    reset_signals()
    if kernels:
        prepare_kernels(runtime, modules)
    request = serve(listener, runtime)
    # Below is a forked child, with an empty stack: it ends as any Python program does.
    if request is None:
        return
    if "argv" in request:
        execute(request)
    run_kernel(request)


def become_orphan() -> None:
    """Be a child of the nearest reaper, not of whoever was the first to want a kernel, and die with it."""
    starter = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == starter:
        time.sleep(0.001)
    die_with_parent(os.getppid())


def die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def reset_signals() -> None:
    """Undo what the starter blocked or ignored: a kernel must see an interrupt, and its own children's ends."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def prepare_kernels(runtime: str, modules: list[str]) -> None:
    """Import what kernels need; what cannot be imported here fails in the notebook that wants it."""
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    import_module("ipykernel.kernelapp")
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # a build attaches no debugger; its import takes 0.2 s
    for name in [*KERNEL_MODULES, *modules]:
        try:
            import_module(name)
        except Exception as error:
            sys.stderr.write(f"{name}: {error}\n")
    del sys.modules["debugpy"]
    from IPython.core.profiledir import ProfileDir

    folder = os.path.join(runtime, "ipython")
    os.makedirs(folder, exist_ok=True)
    ProfileDir.create_profile_dir_by_name(folder)
    gc.collect()
    gc.freeze()
    gc.disable()  # until a kernel is ready


def serve(listener: socket.socket, runtime: str) -> dict | None:
    """Start processes until it is time to end: ``None``. In a child that was forked, return its request."""
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.register(wake, select.POLLIN)
    running: dict[int, Process] = {}
    while os.path.isdir(runtime):
        for descriptor, _ in poller.poll(POLL_RUNTIME):
            if descriptor == wake.fileno():
                wake.recv(4096)
                for process in [each for each in running.values() if each.reap()]:
                    poller.unregister(process.connection)
                    del running[process.connection.fileno()]
                    process.connection.close()
            elif descriptor == listener.fileno():
                connection, _ = listener.accept()
                request, outputs = receive(connection)
                if request is None:
                    connection.close()
                    continue
                if "end" in request:
                    return finish(running)
                zygote = os.getpid()
                sys.stdout.flush()
                pid = os.fork()
                if pid == 0:
                    become_process(request, outputs, zygote)
                    for each in (listener, wake, woken, connection, *(p.connection for p in running.values())):
                        each.close()
                    return request
                os.close(outputs)
                running[connection.fileno()] = Process(pid, connection)
                poller.register(connection, select.POLLIN)
                answer(connection, {"pid": pid})
            elif descriptor in running:
                obey(running[descriptor])
    return finish(running)


def receive(connection: socket.socket) -> tuple[dict | None, int]:
    """Read one request and its descriptor; ``None`` from a client that has gone."""
    connection.settimeout(SILENT_CLIENT)
    try:
        head, ancillary, _, _ = connection.recvmsg(HEADER.size, socket.CMSG_SPACE(4))
        if len(head) < HEADER.size:
            return None, -1
        data = bytearray()
        size = HEADER.unpack(head)[0]
        while len(data) < size:
            piece = connection.recv(size - len(data))
            if not piece:
                return None, -1
            data += piece
    except OSError:
        return None, -1
    connection.setblocking(False)
    descriptors = array.array("i")
    for _, _, payload in ancillary:
        descriptors.frombytes(payload)
    return json.loads(data), descriptors[0] if descriptors else -1


def answer(connection: socket.socket, message: dict) -> None:
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # a client that has gone needs no answer


def obey(process: Process) -> None:
    """Pass on the signals that the client sent; SIGKILL for one that has gone."""
    try:
        numbers = process.connection.recv(16)
    except BlockingIOError:
        return  # the event was for a connection that had this descriptor before
    except ConnectionError:
        numbers = b""
    for number in numbers or bytes([signal.SIGKILL]):
        process.signal(number)


def finish(running: dict[int, Process]) -> None:
    for process in running.values():
        process.signal(signal.SIGKILL)


def become_process(request: dict, outputs: int, zygote: int) -> None:
    """Turn the fork into what a program started on its own would be."""
    os.setsid()
    die_with_parent(zygote)
    signal.set_wakeup_fd(-1)
    reset_signals()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (outputs, 1), (outputs, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(outputs)
    os.chdir(request["cwd"])


def execute(request: dict) -> None:
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(2, f"{request['argv'][0]}: {error.strerror}\n".encode())
        os._exit(127)


def run_kernel(request: dict) -> None:
    """Be an ipykernel on the connection file of the request."""
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    class KernelApp(IPKernelApp):
        """Configured by what we say alone: no command line, no configuration file."""

        name = "ipython-kernel"

        def parse_command_line(self, argv: object = None) -> None:
            pass

        def load_config_file(self, *args: object, **options: object) -> None:
            pass

    config = Config()
    config.IPKernelApp.connection_file = request["connection_file"]
    config.IPKernelApp.parent_handle = 1  # no thread that polls for the parent: the system tells us
    config.BaseIPythonApplication.ipython_dir = request["ipython_dir"]
    config.HistoryManager.hist_file = ":memory:"
    import ipykernel_launcher

    sys.argv = [ipykernel_launcher.__file__, "-f", request["connection_file"]]
    app = KernelApp.instance(config=config)
    app.initialize([])
    gc.enable()
    app.start()
    end_kernel(app.shell)


def end_kernel(shell: Any) -> None:
    """End as Python does, but for taking apart all modules, which costs as much as the whole start of a kernel.

    Threads are waited for, exit handlers run, the user's objects are finalized, and files are flushed.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    shell.user_ns.clear()
    shell.user_module.__dict__.clear()
    gc.collect()
    for each in gc.get_objects():
        if isinstance(each, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)) and not each.closed:
            try:
                each.flush()
            except (OSError, ValueError):
                pass  # a pipe that nobody reads
    os._exit(0)


if __name__ == "__main__":
    main()
