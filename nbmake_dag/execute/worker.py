"""The inline executor: a process that runs one attempt at a time.

It finds its socket to the driver as descriptor 3. Orders are read in a thread of their own, so that an attempt can
be cancelled; attempts run in the main thread, because a child whose parent thread ends gets its death signal.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading

import msgspec

from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.import_blocklist import stay_light
from nbmake_dag.execute.inline import NAME, NOTEBOOKS
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.frames import Frames
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Cancel,
    Ended,
    ExecutorReady,
    Order,
    Recall,
    Returned,
    Submit,
)

_CONNECTION = 3
_STUCK_AFTER_S = 20.0
"""Beyond the grace period of a cancelled attempt."""


class Worker:
    """The queue of attempts, and the wishes to end them.

    Short attempts wait here behind the one that runs, so that this process need not wait for the driver. After one
    that did not succeed none of those begins that the driver submitted before it knew of that.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._frames = Frames(connection, msgspec.json.Decoder(Order))
        self._changed = threading.Condition()
        self._waiting: dict[str, Submit] = {}
        self._cancellations: dict[str, Cancellation] = {}
        self._failures = 0

    def run(self) -> None:
        self._frames.send(ExecutorReady(executor=NAME, resources={"CPU": 1.0}))
        threading.Thread(target=self._read, name="orders", daemon=True).start()
        if NOTEBOOKS in sys.argv:
            threading.Thread(target=_warm, name="warm", daemon=True).start()
        while True:
            spec, cancellation = self._next()
            result = run_attempt(spec, self._frames.send, cancellation)
            self._end(spec, result)

    def _next(self) -> tuple[AttemptSpec, Cancellation]:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            name = next(iter(self._waiting))
            return self._waiting.pop(name).spec, self._cancellations[name]

    def _end(self, spec: AttemptSpec, result: AttemptResult) -> None:
        with self._changed:
            del self._cancellations[spec.task]
            if result.outcome != "succeeded":
                self._failures += 1
            returned = [name for name, order in self._waiting.items() if self._is_outdated(order)]
            # before the end of the other, after which the driver may submit them again
            for name in returned:
                self._return(name)
        self._frames.send(Ended(task=spec.task, attempt=spec.attempt, result=result))

    def _read(self) -> None:
        while order := self._frames.receive():
            if isinstance(order, Submit):
                with self._changed:
                    self._waiting[order.spec.task] = order
                    self._cancellations[order.spec.task] = Cancellation()
                    if self._is_outdated(order):
                        self._return(order.spec.task)
                    self._changed.notify()
            elif isinstance(order, Recall):
                with self._changed:
                    if order.task in self._waiting:
                        self._return(order.task)
            elif isinstance(order, Cancel):
                self._cancel(order)
            else:
                break
        # the supervisor ends what is below this process
        os._exit(0)

    def _is_outdated(self, order: Submit) -> bool:
        return order.known_failures is not None and order.known_failures < self._failures

    def _return(self, task: str) -> None:
        spec = self._waiting.pop(task).spec
        del self._cancellations[task]
        self._frames.send(Returned(task=task, attempt=spec.attempt))

    def _cancel(self, order: Cancel) -> None:
        with self._changed:
            waiting = self._waiting.get(order.task)
            if waiting is not None and waiting.known_failures is not None:
                self._return(order.task)
            cancellation = self._cancellations.get(order.task)
        if cancellation is None:
            return
        watchdog = threading.Timer(order.grace + _STUCK_AFTER_S, self._give_up, (order.task, cancellation))
        watchdog.daemon = True
        watchdog.start()
        # in another thread, so that a callback that blocks does not keep later orders waiting
        threading.Thread(target=cancellation.request, args=(order.grace,), daemon=True).start()

    def _give_up(self, task: str, cancellation: Cancellation) -> None:
        if self._cancellations.get(task) is cancellation:
            os.write(2, f"{task} did not end after it was cancelled\n".encode())
            os._exit(1)


def _warm() -> None:
    """Import what notebooks need while there is nothing to do."""
    importlib.import_module("nbmake_dag.execute.notebook.run")


def main() -> None:
    stay_light()
    connection = socket.socket(fileno=_CONNECTION)
    connection.set_inheritable(False)
    Worker(connection).run()


if __name__ == "__main__":
    main()
