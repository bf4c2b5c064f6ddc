"""Call one function in a fork of a process that has imported what each call needs, and nothing of the user's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Generator

from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.process import STREAMS, ProcessRun, Watch
from nbmake_dag.execute.processes.zygote_client import Process, Zygote, ZygoteError
from nbmake_dag.execute.protocol import AttemptSpec, Event, Failure
from nbmake_dag.execute.redaction import Redactor


def run_call(
    call: str,
    spec: AttemptSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    redactor: Redactor,
    *,
    cwd: str,
) -> ProcessRun:
    """Call the function that the file ``call`` describes, to its end, and end what it left running."""
    started = time.time_ns()
    if cancellation.requested:
        return ProcessRun(outcome="cancelled", started=started, ended=started)
    outputs = [os.pipe() for _ in STREAMS]
    pipes = [os.fdopen(reader, "rb", buffering=0) for reader, _ in outputs]
    try:
        process = Zygote.of_functions(spec.runtime, spec.env, cwd).request(
            {"call": call, "env": spec.env, "cwd": cwd}, *(writer for _, writer in outputs)
        )
        child = _Forked(process)
    except ZygoteError as error:
        for pipe in pipes:
            pipe.close()
        failure = Failure(type="_OTHER", message=f"no process for a function can be started: {error}")
        return ProcessRun(outcome="lost", started=started, ended=time.time_ns(), failure=failure)
    finally:
        for _, writer in outputs:
            os.close(writer)
    with contextlib.closing(process):
        return Watch(child, pipes, spec, emit, started, redactor).run(cancellation)


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
