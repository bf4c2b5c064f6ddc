"""A kernel that waits between two cells: forked from a running one, and forked again whenever it is resumed.

Runs in the kernel: standard library and ipykernel. A snapshot serves its clients as a zygote does: each request
starts a kernel, which has all that the notebook had made, its modules and its shell. Only the connection to
clients is made again: sockets and the threads that serve them. The event loop is opened again. A snapshot ends
when its folder is gone.
"""

from __future__ import annotations

import asyncio
import atexit
import copy
import os
import random
import selectors
import socket
import sys
import threading
import warnings
from contextlib import suppress
from contextvars import Context, copy_context
from importlib.metadata import version
from typing import Any, NoReturn

import comm
from ipykernel.displayhook import ZMQDisplayHook
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from tornado.ioloop import IOLoop

from nbmake_dag.inside import start
from nbmake_dag.inside.looks import Looks
from nbmake_dag.inside.obstacles import Obstacles, open_files, separate_files
from nbmake_dag.inside.zygote import Request, Server, answer, become_orphan, flush_c_streams, live, receive

_ASK_WITHIN = 10.0
"""Seconds for the client to ask for the result of its snapshot request."""
_OF_THE_ATTEMPT = ("NBDAG_", "TRACEPARENT")
_OF_THE_SERVICE = ("socket:", "pipe:", "anon_inode:")

_obstacles: Obstacles
_streams: tuple[Any, Any]
_random_state: Any = None
_looks: Looks | None = None


def begin() -> None:
    """Note what the kernel has of its own; called before the first cell, once the kernel is ready."""
    global _obstacles, _streams, _looks  # noqa: PLW0603  # a process is one kernel
    if int(version("ipykernel").partition(".")[0]) < 7:
        # its requests are not tasks of their own, after which the kernel could pause
        raise RuntimeError("its ipykernel is older than 7")
    _obstacles = Obstacles()
    repository = start.repository()
    if _looks is None and repository is not None:
        _looks = Looks(repository)
        _looks.watch()
    _streams = sys.stdout, sys.stderr
    if _random_state is not None:
        random.setstate(_random_state)  # a fork gives it another seed, and the start of a kernel takes numbers


def take(path: str) -> None:
    """Have a snapshot taken as soon as this request is done, to serve at the socket ``path``.

    A client that connects there gets its process id, or the reason that there is none.
    """
    app: Any = IPKernelApp.instance()
    context = copy_context()
    request = asyncio.current_task()
    if request is None or not hasattr(app, "pause"):
        raise RuntimeError("this kernel was not forked by nbdag")
    start.finish()
    if _looks is not None:
        _looks.write(f"{path}.looked")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    app.pause = lambda: _pause(app, context, listener)
    request.add_done_callback(lambda _: app.io_loop.stop())  # pyright: ignore[reportOptionalMemberAccess]


def _pause(app: Any, context: Context, listener: socket.socket) -> None:
    """Fork, unless something speaks against it; in the fork this does not return."""
    obstacle = _obstacles.found(listener.fileno()) or _pending(app) or _fork(app, context, listener)
    if obstacle:
        _refuse(listener, obstacle)
    listener.close()


def _refuse(listener: socket.socket, obstacle: str) -> None:
    """Answer the client with what speaks against a snapshot; one that does not ask in time is left."""
    listener.settimeout(_ASK_WITHIN)
    with suppress(OSError):  # the notebook goes on, whatever became of the client
        connection, _ = listener.accept()
        with connection:
            receive(connection)
            answer(connection, {"refused": obstacle})


def _fork(app: Any, context: Context, listener: socket.socket) -> str:
    """Fork, and only then report obstacles to it."""
    global _random_state  # noqa: PLW0603  # a process is one kernel
    reading, writing = os.pipe()
    _random_state = random.getstate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the threads are our own
            flush_c_streams()
            pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return f"it cannot be forked: {error.strerror}"
    if pid == 0:
        os.close(writing)
        if not os.read(reading, 1):
            os._exit(0)
        os.close(reading)
        _wait(app, context, listener)
    os.close(reading)
    obstacle = _obstacles.found_after_fork()
    if not obstacle:
        os.write(writing, b"+")
    os.close(writing)
    os.waitpid(pid, 0)
    return obstacle


def _pending(app: Any) -> str:
    waiting = asyncio.all_tasks(app.io_loop.asyncio_loop)
    return "an asyncio task that has not ended" if waiting else ""


def _wait(app: Any, context: Context, listener: socket.socket) -> NoReturn:
    """Be a snapshot: a process of its own that forks a kernel for each client."""
    become_orphan()
    _let_go(app, listener)
    request = Server(listener).serve(os.path.dirname(listener.getsockname()))
    if request is None:
        os._exit(0)
    context.run(_resume, app, request)
    # past what is on the stack of the old kernel, to the end of the script
    raise SystemExit(0)


def _let_go(app: Any, listener: socket.socket) -> None:
    """Close what the kernel served its clients with, and share no position in a file with it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    services = (app, app.iopub_thread, app.control_thread, app.shell_channel_thread)
    for loop in (service.io_loop.asyncio_loop for service in services):
        # not its close(), which would act on what epoll shares with the other process
        for each in (loop._selector, loop._ssock, loop._csock):  # noqa: SLF001
            each.close()
        loop._closed = True  # noqa: SLF001
    for number, link in list(open_files()):
        if number != listener.fileno() and link.startswith(_OF_THE_SERVICE):
            os.close(number)
    separate_files()


class _Resumed:
    """What a new application leaves alone: the shell, the streams and the hooks are those of the old one."""

    def configure_tornado_logger(self) -> None: ...

    def init_crash_handler(self) -> None: ...

    def init_pdb(self) -> None: ...

    def init_path(self) -> None: ...

    def init_gui_pylab(self) -> None: ...

    def init_extensions(self) -> None: ...

    def init_code(self) -> None: ...

    def init_io(self: Any) -> None:
        for stream in _streams:
            _reconnect(stream, self)
        self.displayhook = ZMQDisplayHook(self.session, self.iopub_socket)  # type: ignore[no-untyped-call]
        sys.displayhook = self.displayhook


def _resume(old: Any, request: Request) -> None:
    """Be a kernel on the connection file of the request, with the shell of the old one."""
    separate_files()
    os.environ.update({name: value for name, value in request["env"].items() if name.startswith(_OF_THE_ATTEMPT)})
    start.resume()
    asyncio.set_event_loop(_reopened(old.io_loop.asyncio_loop))
    for leftover in (old.close, old.iopub_thread.stop):
        atexit.unregister(leftover)
    kind: Any = type(old)
    if _Resumed not in kind.__mro__:
        kind = type("ResumedApp", (_Resumed, kind), {})
    old.clear_instance()
    IPythonKernel.clear_instance()
    config = copy.deepcopy(old.config)
    config.IPKernelApp.connection_file = request["connection_file"]
    config.BaseIPythonApplication.ipython_dir = request["ipython_dir"]
    os.makedirs(request["ipython_dir"], exist_ok=True)
    command = request["command"]
    sys.argv[:] = [sys.argv[0], *command[command.index("-f") :]]
    vars(sys).get("orig_argv", [])[:] = command  # Python 3.9 has none
    app = kind.instance(config=config)
    app.initialize([])
    app.shell.kernel = app.shell.parent = app.kernel
    comms: dict[str, Any] = comm.get_comm_manager().comms
    for each in comms.values():
        each.kernel = app.kernel
    live(app)


def _reopened(loop: Any) -> Any:
    """Let the loop of the old kernel, to which locks and futures of the user's belong, serve the new one."""
    loop._ready.clear()  # noqa: SLF001
    loop._scheduled.clear()  # noqa: SLF001
    loop._selector = selectors.DefaultSelector()  # noqa: SLF001
    loop._closed = False  # noqa: SLF001
    loop._make_self_pipe()  # noqa: SLF001
    IOLoop._ioloop_for_asyncio.pop(loop, None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return loop


def _reconnect(stream: Any, app: Any) -> None:
    """Let a stream that user code may hold write to new clients."""
    stream.session, stream.pub_thread = app.session, app.iopub_thread
    stream._io_loop = app.iopub_thread.io_loop  # noqa: SLF001
    stream._master_pid = os.getpid()  # noqa: SLF001
    stream._buffer_lock = threading.RLock()  # noqa: SLF001
    stream._flush_pending = False  # noqa: SLF001
    stream._buffers.clear()  # noqa: SLF001
    if stream._should_watch:  # noqa: SLF001
        watched, original = stream._original_stdstream_fd, stream._original_stdstream_copy  # noqa: SLF001
        os.dup2(watched, original)
        stream._fid, writing = os.pipe()  # noqa: SLF001
        os.dup2(writing, watched)
        os.close(writing)
        stream.watch_fd_thread = threading.Thread(target=stream._watch_pipe_fd, daemon=True)  # noqa: SLF001
        stream.watch_fd_thread.start()
