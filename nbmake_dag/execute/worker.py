"""The inline executor: a process that runs one attempt at a time.

It finds its socket to the driver as descriptor 3. Orders are read in a thread of their own, so that an attempt can
be cancelled; attempts run in the main thread, because a child whose parent thread ends gets its death signal.
"""

from __future__ import annotations

import importlib
import os
import queue
import socket
import sys
import threading

import msgspec

from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.import_blocklist import stay_light
from nbmake_dag.execute.inline import NAME, NOTEBOOKS
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.frames import Frames
from nbmake_dag.execute.protocol import AttemptSpec, Cancel, Ended, ExecutorReady, Order, Submit

_CONNECTION = 3
_STUCK_AFTER_S = 20.0
"""Beyond the grace period of a cancelled attempt."""


class Worker:
    """The queue of attempts, and the wishes to end them."""

    def __init__(self, connection: socket.socket) -> None:
        self._frames = Frames(connection, msgspec.json.Decoder(Order))
        self._queue: queue.SimpleQueue[AttemptSpec] = queue.SimpleQueue()
        self._cancellations: dict[str, Cancellation] = {}

    def run(self) -> None:
        self._frames.send(ExecutorReady(executor=NAME, resources={"CPU": 1.0}))
        threading.Thread(target=self._read, name="orders", daemon=True).start()
        if NOTEBOOKS in sys.argv:
            threading.Thread(target=_warm, name="warm", daemon=True).start()
        while True:
            spec = self._queue.get()
            result = run_attempt(spec, self._frames.send, self._cancellations[spec.task])
            del self._cancellations[spec.task]
            self._frames.send(Ended(task=spec.task, attempt=spec.attempt, result=result))

    def _read(self) -> None:
        while order := self._frames.receive():
            if isinstance(order, Submit):
                self._cancellations[order.spec.task] = Cancellation()
                self._queue.put(order.spec)
            elif isinstance(order, Cancel):
                self._cancel(order)
            else:
                break
        # the supervisor ends what is below this process
        os._exit(0)

    def _cancel(self, order: Cancel) -> None:
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
