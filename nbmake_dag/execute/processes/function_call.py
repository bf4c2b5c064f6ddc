"""Call one function in a fork of a process that has imported what each call needs, and nothing of the user's."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from typing import IO, Any

from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.process import STREAMS, ProcessRun, Watch, run_process
from nbmake_dag.execute.processes.zygote_client import Process, Zygote, ZygoteError
from nbmake_dag.execute.protocol import AttemptSpec, Event
from nbmake_dag.execute.redaction import Redactor

OPTIONS = ("-P", "-u")
"""Of the Python that calls a function."""


def run_call(
    call: str,
    spec: AttemptSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    redactor: Redactor,
    *,
    cwd: str,
) -> ProcessRun:
    """Call the function that the file ``call`` describes, to its end, and end what it left running.

    Where no zygote can be had, a Python is started for this call alone, and what goes wrong then is the task's.
    """
    started = time.time_ns()
    if cancellation.requested:
        return ProcessRun(outcome="cancelled", started=started, ended=started)
    command = (sys.executable, *OPTIONS, "-m", "nbmake_dag.inside.call", call)
    with contextlib.ExitStack() as opened:
        try:
            child, pipes = _forked({"call": call, "command": command, "env": spec.env, "cwd": cwd}, spec, opened)
        except (OSError, ZygoteError):
            return run_process(command, spec, emit, cancellation, redactor, cwd=cwd)
        return Watch(child, pipes, spec, emit, started, redactor).run(cancellation)


def _forked(
    request: dict[str, Any], spec: AttemptSpec, opened: contextlib.ExitStack
) -> tuple[_Forked, list[IO[bytes]]]:
    """Have a zygote fork the process of a call; return it, and what can be read of its output."""
    zygote = Zygote.of_functions(spec.runtime, spec.env, request["cwd"], OPTIONS)
    pipes: list[IO[bytes]] = []
    with contextlib.ExitStack() as handed_over:
        writers: list[int] = []
        for _ in STREAMS:
            reader, writer = os.pipe()
            pipes.append(opened.enter_context(os.fdopen(reader, "rb", buffering=0)))
            handed_over.callback(os.close, writer)
            writers.append(writer)
        process = zygote.request(request, *writers)
    opened.enter_context(contextlib.closing(process))
    return _Forked(process), pipes


class _Forked:
    """A process that a zygote forked."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.await_pid()

    @contextlib.contextmanager
    def end_noticed(self) -> Generator[int]:
        yield self._process.fileno()

    def signal(self, number: signal.Signals) -> None:
        self._process.signal(number)

    def reap(self) -> tuple[int, float, int] | None:
        ended = self._process.await_exit()
        return (ended.exit_code, ended.cpu_s, ended.peak_rss) if ended else None
