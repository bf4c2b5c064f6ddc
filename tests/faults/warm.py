"""`nbdag` in processes that are forked from one that has imported it: each begins at less than half the cost.

A campaign runs the command line tens of thousands of times. What a fault befalls begins as users begin it.
"""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

import nbmake_dag.commands
from tests.support.project import DEADLINE_S, Project


class _Order(msgspec.Struct):
    """A command to run: its arguments, where, and the files that its streams go to."""

    arguments: list[str]
    root: str
    env: dict[str, str]
    out: str
    err: str


class WarmProject(Project):
    """A project whose commands are forked."""

    def nbdag(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        streams = [Path(f"{self.root}.{name}") for name in ("out", "err")]
        order = _Order(list(arguments), str(self.root), self.environment(env), *map(str, streams))
        server = _server()
        assert server.stdin
        assert server.stdout
        server.stdin.write(msgspec.json.encode(order) + b"\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        out, err = (path.read_text() for path in streams)
        for path in streams:
            path.unlink()
        if code == -signal.SIGALRM:
            raise subprocess.TimeoutExpired(arguments, DEADLINE_S, out, err)
        return subprocess.CompletedProcess(arguments, code, out, err)


@functools.cache
def _server() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _serve() -> None:
    """Fork for each order on the standard input, and print how it exited; until there are no more."""
    for module in pkgutil.iter_modules(nbmake_dag.commands.__path__, "nbmake_dag.commands."):
        importlib.import_module(module.name)
    importlib.import_module("nbmake_dag.engine.build")
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _become(msgspec.json.decode(line, type=_Order))
        ended = os.pidfd_open(pid)
        if not select.select([ended], [], [], DEADLINE_S)[0]:
            os.kill(pid, signal.SIGALRM)
        os.close(ended)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def _become(order: _Order) -> None:
    """Be the command, in this process."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order.out, os.O_RDWR),
        (2, order.err, os.O_RDWR),
    ):
        os.dup2(os.open(path, flags | os.O_CREAT), number)
    os.chdir(order.root)
    os.environ.clear()
    os.environ.update(order.env)
    sys.path[0] = order.root
    sys.argv = ["nbdag", *order.arguments]
    from nbmake_dag.__main__ import main

    main()


if __name__ == "__main__":
    _serve()
