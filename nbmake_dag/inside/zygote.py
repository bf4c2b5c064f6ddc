"""Fork kernels from a process that has imported what they need; start other programs in the same way.

A script for any Python, run by path: standard library only, and ipykernel where it is asked for.

    python zygote.py LISTENING_FD RUNTIME_DIRECTORY [--kernels [MODULE...] | --calls]

A client connects and sends one `Request`, with the descriptor that becomes standard output and error, or two. It
is answered by one line of JSON with the process id, and a second one with the exit when the process has ended.
Each byte that the client sends is a signal for the process group, and a closed connection is SIGKILL. When the
process ends, whatever is left of its group is killed. Where the system refuses a process, as at a limit, the
only answer is why, as ``refused``, and the zygote goes on.

The zygote ends, and its processes with it, when its parent or the runtime directory is gone, or when a client asks
for it. It has no threads, and no zmq context.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import errno
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Dict  # noqa: UP035  # any Python that has kernels runs this

PR_SET_PDEATHSIG = 1
HEADER = struct.Struct("!I")
POLL_RUNTIME = 1000
"""Milliseconds between looks at whether the runtime directory is there."""
SILENT_CLIENT = 10.0
"""Seconds to wait for the rest of a request."""
PAUSE = 0.05
"""Seconds until the next look at clients whose connection the machine refused."""
TRY_AGAIN = 75
"""Exit code of a zygote that the machine did not let start, which may succeed later."""

Request = Dict[str, Any]  # noqa: UP006  # any Python that has kernels runs this
"""``env``, ``cwd``, and one of these: ``argv`` of a program; the file ``call`` for `nbmake_dag.inside.call`;
``connection_file`` and ``ipython_dir`` of a kernel. The last two bring the ``command`` that starts one unforked.

Instead of that ``end`` asks for the end of the zygote, and ``ask`` for its process id.
"""

SET_AT_START = ("PYDEVD_USE_FRAME_EVAL", "LC_CTYPE")
"""Variables that a kernel has although they were not passed to it: debugpy sets one, Python the other where the
locale is C."""

# What IPKernelApp and a first cell import late.
KERNEL_MODULES = [
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "comm",
    "faulthandler",
    "ipykernel.debugger",
    "ipykernel.kernelapp",
    "ipykernel.shellchannel",
    "ipykernel.subshell_manager",
    "nbmake_dag.inside.start",
    "psutil",
    "sqlite3",
    "stack_data",
    "tornado.platform.asyncio",
    "tornado.queues",
    "zmq.asyncio",
]


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

    def obey(self) -> None:
        """Pass on the signals that the client sent; SIGKILL from one that has gone."""
        try:
            numbers = self.connection.recv(16)
        except BlockingIOError:
            return  # the event was for a connection that had this descriptor before
        except ConnectionError:
            numbers = b""
        for number in numbers or bytes([signal.SIGKILL]):
            self.signal(number)


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    runtime, kernels, modules = sys.argv[2], "--kernels" in sys.argv[3:4], sys.argv[4:]
    calls = "--calls" in sys.argv[3:4]
    become_orphan()
    reset_signals()
    if kernels:
        prepare_kernels(modules)
    elif calls:
        prepare_calls()
    request = Server(listener).serve(runtime)
    # Only a forked child, with an empty stack, goes on to the end of the script, where Python finalizes.
    if request is None:
        os._exit(0)
    if "argv" in request:
        execute(request)
    if "call" in request:
        run_call(request)
    run_kernel(request)


def become_orphan() -> None:
    """Be a child of the nearest reaper, not of the first process that needed a kernel, and die with it."""
    starter = os.getpid()
    flush_c_streams()
    try:
        pid = os.fork()
    except OSError as error:
        os.write(2, f"no process can be forked: {error.strerror}\n".encode())
        os._exit(TRY_AGAIN)
    if pid:
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


def prepare_kernels(modules: list[str]) -> None:
    """Import what kernels need; what cannot be imported here fails in the notebook that imports it."""
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    atexit.register(finalize_all)
    import_module("ipykernel.kernelapp")
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # read when it is imported
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # a build attaches no debugger; its import takes 0.2 s
    for name in [*KERNEL_MODULES, *modules]:
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001  # whatever it raises, it raises again in the notebook
            sys.stderr.write(f"{name}: {error}\n")
    del sys.modules["debugpy"]
    if find_spec("debugpy"):
        os.environ.setdefault("PYDEVD_USE_FRAME_EVAL", "NO")
    gc.collect()
    gc.freeze()
    gc.disable()  # until a kernel is ready


def prepare_calls() -> None:
    """Import what every call of a function needs, and nothing that users chose."""
    import_module("nbmake_dag.inside.call")
    gc.collect()
    gc.freeze()


def _wake(_number: int, _frame: object) -> None:
    """Do nothing: with a handler, the signal wakes the loop."""


class Server:
    """Starts processes for its clients until it is time to end."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.wake, self.woken = socket.socketpair()
        for end in (self.wake, self.woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, _wake)
        signal.set_wakeup_fd(self.woken.fileno(), warn_on_full_buffer=False)
        self.poller = select.poll()
        for each in (listener, self.wake):
            self.poller.register(each, select.POLLIN)
        self.running: dict[int, Process] = {}
        self.ending = False

    def serve(self, runtime: str) -> Request | None:
        """Return ``None`` at the end. In a child that was forked, return its request."""
        while not self.ending and os.path.isdir(runtime):
            for descriptor, _ in self.poller.poll(POLL_RUNTIME):
                if descriptor == self.wake.fileno():
                    self.reap()
                elif descriptor == self.listener.fileno():
                    request = self.accept()
                    if request is not None:
                        return request
                elif descriptor in self.running:
                    self.running[descriptor].obey()
        for process in self.running.values():
            process.signal(signal.SIGKILL)
        return None

    def reap(self) -> None:
        self.wake.recv(4096)
        for process in [each for each in self.running.values() if each.reap()]:
            self.poller.unregister(process.connection)
            del self.running[process.connection.fileno()]
            process.connection.close()

    def accept(self) -> Request | None:
        """Start what a client asks for. Return its request in the new process alone."""
        try:
            connection, _ = self.listener.accept()
        except OSError:  # no descriptor is free: the client waits
            time.sleep(PAUSE)
            return None
        request, outputs = receive(connection)
        if request is None or "end" in request or "ask" in request:
            self.ending = self.ending or (request is not None and "end" in request)
            answer(connection, {"pid": os.getpid()})
            connection.close()
            return None
        zygote = os.getpid()
        flush_c_streams()
        try:
            pid = self.fork(outputs, 2 if "call" in request else 1)
        except OSError as error:
            answer(connection, {"refused": error.strerror})
            connection.close()
            return None
        if pid == 0:
            become_process(request, outputs, zygote)
            others = [process.connection for process in self.running.values()]
            for each in (self.listener, self.wake, self.woken, connection, *others):
                each.close()
            return request
        for output in outputs:
            os.close(output)
        self.running[connection.fileno()] = Process(pid, connection)
        self.poller.register(connection, select.POLLIN)
        answer(connection, {"pid": pid})
        return None

    @staticmethod
    def fork(outputs: list[int], wanted: int) -> int:
        """Fork as `os.fork` does; where that is refused, `OSError`, and the descriptors are closed."""
        refused: OSError | None = None
        if len(outputs) < wanted:
            refused = OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # no room for those of the client
        else:
            try:
                return os.fork()
            except OSError as error:
                refused = error
        for output in outputs:
            os.close(output)
        raise refused


def receive(connection: socket.socket) -> tuple[Request | None, list[int]]:
    """Read one request and its descriptors; ``None`` from a client that has gone."""
    connection.settimeout(SILENT_CLIENT)
    try:
        head, ancillary, _, _ = connection.recvmsg(HEADER.size, socket.CMSG_SPACE(8))
        if len(head) < HEADER.size:
            return None, []
        data = bytearray()
        size = HEADER.unpack(head)[0]
        while len(data) < size:
            piece = connection.recv(size - len(data))
            if not piece:
                return None, []
            data += piece
    except OSError:
        return None, []
    connection.setblocking(False)
    descriptors = array.array("i")
    for _, _, payload in ancillary:
        descriptors.frombytes(payload)
    return json.loads(data), list(descriptors)


def answer(connection: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # a client that has gone needs no answer
        connection.sendall(json.dumps(message).encode() + b"\n")


def become_process(request: Request, outputs: list[int], zygote: int) -> None:
    """Turn the fork into what a program started on its own would be."""
    os.setsid()
    die_with_parent(zygote)
    signal.set_wakeup_fd(-1)
    reset_signals()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (outputs[0], 1), (outputs[-1], 2)):
        os.dup2(source, target)
    for each in (nothing, *outputs):
        os.close(each)
    if "cwd" in request:
        enter(request["cwd"])


def enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        os.write(2, f"it cannot run in {folder}: {error.strerror}\n".encode(errors="backslashreplace"))
        os._exit(127)


def execute(request: Request) -> None:
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606  # no shell wanted
    except OSError as error:
        os.write(2, f"{request['argv'][0]}: {error.strerror}\n".encode())
        os._exit(127)


def run_call(request: Request) -> None:
    """Be the process of one call of a function."""
    locale = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update({**request["env"], **locale})
    time.tzset()
    sys.orig_argv[:] = request["command"]
    sys.exit(import_module("nbmake_dag.inside.call").main(request["call"]))


def run_kernel(request: Request) -> None:
    """Be an ipykernel on the connection file of the request."""
    debugger, locale = ({name: os.environ[name]} if name in os.environ else {} for name in SET_AT_START)
    os.environ.clear()
    os.environ.update({**debugger, **request["env"], **locale})
    time.tzset()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    import ipykernel_launcher  # type: ignore[import-untyped]  # noqa: PLC0415  # not for other programs
    import zmq  # noqa: PLC0415  # likewise
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415  # likewise
    from traitlets.config import Config  # noqa: PLC0415  # likewise

    class KernelApp(IPKernelApp):
        """Configured by this module alone: no command line, no configuration file."""

        name = "ipython-kernel"
        pause: Any = None
        """A function to call between two cells, when nothing of the kernel is on the stack."""

        def parse_command_line(self, argv: object = None) -> None:
            pass

        def load_config_file(self, *args: object, **options: object) -> None:
            pass

        def init_iopub(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
            context.setsockopt(zmq.SNDHWM, 0)  # a message that is dropped would be an output that is lost
            super().init_iopub(context)  # type: ignore[no-untyped-call]

    config = Config()
    config.IPKernelApp.connection_file = request["connection_file"]
    config.IPKernelApp.parent_handle = 1  # no thread that polls for the parent: the system tells us
    # sends without copying start a thread of pyzmq's, with which the kernel could not be forked any more
    config.Session.copy_threshold = sys.maxsize
    config.BaseIPythonApplication.ipython_dir = request["ipython_dir"]
    os.makedirs(request["ipython_dir"], exist_ok=True)
    config.HistoryManager.hist_file = ":memory:"
    config.IPKernelApp.exec_PYTHONSTARTUP = False
    command = request["command"]
    sys.argv = [ipykernel_launcher.__file__, *command[command.index("-f") :]]
    vars(sys).get("orig_argv", [])[:] = command  # Python 3.9 has none
    app = KernelApp.instance(config=config)
    app.initialize([])  # type: ignore[no-untyped-call]
    gc.enable()
    live(app)


def live(app: Any) -> None:
    """Execute cells until the end, and pauses between them when they are wanted.

    The caller returns to the end of the script: Python finalizes, then the handlers of C run, as in any program.
    """
    app.start()
    while app.pause:
        pause, app.pause = app.pause, None
        pause()
        app.io_loop.start()


def finalize_all() -> None:
    """Let Python finalize what imported modules hold; as the last exit handler, when the notebook's have run.

    Python collects garbage before it takes modules apart. Only the notebook has some then, so that is enough.
    """
    if gc.isenabled():
        gc.collect()
    gc.disable()
    gc.unfreeze()


def flush_c_streams() -> None:
    """Write what the streams of C have buffered, so that a fork does not write it again."""
    ctypes.CDLL(None).fflush(None)


if __name__ == "__main__":
    main()
