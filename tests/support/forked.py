"""`nbdag` in processes that are forked from one that has imported it: each costs half of what a new one does.

The tests run thousands of commands. One whose interpreter would start otherwise, by a variable such as
``PYTHONPATH``, is no fork, and none is with ``NBDAG_TESTS_FORK=0``.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbmake_dag.commands

_OF_THE_START = ("PYTHON", "LD_", "MALLOC_")
"""How variables begin that are read when a process starts."""
_ENVIRONMENT = dict(os.environ)


def may_fork(env: Mapping[str, str]) -> bool:
    """Return whether a command with these variables may be forked; one at a time is, for the main thread."""
    return (
        os.environ.get("NBDAG_TESTS_FORK") != "0"
        and threading.current_thread() is threading.main_thread()
        and _of_the_start(env) == _of_the_start(_ENVIRONMENT)
    )


def run(
    arguments: list[str], root: Path, env: dict[str, str], deadline_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises `subprocess.TimeoutExpired`."""
    order = {"arguments": arguments, "root": str(root), "env": env, "deadline_s": deadline_s}
    message = json.dumps(order).encode() + b"\n"
    (out, its_out), (err, its_err) = os.pipe(), os.pipe()
    connection = _server()
    sent = socket.send_fds(connection, [message], [its_out, its_err])
    for descriptor in (its_out, its_err):
        os.close(descriptor)
    connection.sendall(message[sent:])
    with ThreadPoolExecutor(2) as pool:
        printed, complained = pool.map(_read, (out, err))
    code = int(connection.recv(100))
    if code == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(arguments, deadline_s, printed, complained)
    return subprocess.CompletedProcess(arguments, code, printed, complained)


_LATE = ("nbmake_dag.engine.build", "jupyter_client.kernelspec", "jupytext", "IPython.core.inputtransformer2")
"""What commands import where they come to need it, as most tests make them do."""


def _read(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as stream:
        return stream.read()


def _of_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_OF_THE_START)}


@functools.cache
def _server() -> socket.socket:
    """Start the process to fork from, and return the connection to it; it ends with us."""
    ours, its = socket.socketpair()
    atexit.register(ours.close)
    with its:
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked", str(its.fileno())],
            cwd=Path(__file__).parents[2],
            env=_ENVIRONMENT,
            pass_fds=[its.fileno()],
        )
    return ours


def _serve(connection: socket.socket) -> None:
    """Fork for each order, and answer how it exited; until there are no more."""
    for module in pkgutil.iter_modules(nbmake_dag.commands.__path__, "nbmake_dag.commands."):
        importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)
    while True:
        data, streams, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not data:
            return
        while not data.endswith(b"\n"):
            data += connection.recv(1 << 20)
        order = json.loads(data)
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(order, streams)
        for stream in streams:
            os.close(stream)
        ended = os.pidfd_open(pid)
        if not select.select([ended], [], [], order["deadline_s"])[0]:
            os.kill(pid, signal.SIGALRM)
        os.close(ended)
        connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(order: dict[str, Any], streams: list[int]) -> None:
    """Be the command, in this process."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, stream in enumerate((nothing, *streams)):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(order["root"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.path[0] = order["root"]
    sys.argv = ["nbdag", *order["arguments"]]
    from nbmake_dag.__main__ import main

    main()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
