"""One attempt as a Ray task: a generator of events, ending with the result.

The attempt runs in a thread that lives as long as the Ray worker, so that what it starts does not count as
orphaned; the worker's main thread passes the events on. Ray cannot send a message to a running task without
discarding its remaining events, so a request to cancel it is a key in Ray's own key-value store, which the task
polls.
"""

from __future__ import annotations

import functools
import importlib
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.import_blocklist import stay_light
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import AttemptSpec, Ended, Event, Printed

_POLL_S = 0.25
_BATCH = 64
_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

decode_spec = msgspec.json.Decoder(AttemptSpec).decode
encode_events = msgspec.json.Encoder().encode
decode_events = msgspec.json.Decoder(list[Event]).decode


_store: Any = importlib.import_module("ray.experimental.internal_kv")


def attempt_name(spec: AttemptSpec) -> str:
    """Return a name that no other attempt has, of no other build with the same Ray."""
    return f"{spec.run_id}:{spec.task}:{spec.attempt}"


def ask_to_end(spec: AttemptSpec, grace: float) -> None:
    """Leave the wish to end an attempt where it looks for it."""
    _store._internal_kv_put(_cancel_key(spec), repr(grace).encode())  # noqa: SLF001  # it has no public name


def attempt_task(encoded: bytes, node: str | None) -> Iterator[bytes]:
    """Run an attempt; yield its events, encoded, as they come, printed text a few times per second."""
    spec = with_gpus(decode_spec(encoded))
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    cancellation = Cancellation()
    _attempts().submit(_run, spec, events, cancellation, node)
    try:
        over = False
        while not over:
            _obey(spec, cancellation)
            batch = next_batch(events)
            over = bool(batch) and isinstance(batch[-1], Ended)
            if batch:
                yield encode_events(batch)
    finally:
        cancellation.request(0.0)


def warm_task() -> None:
    """Import what an attempt at a notebook needs, while this worker has nothing to do."""
    stay_light()
    importlib.import_module("nbmake_dag.execute.notebook.run")


def _run(
    spec: AttemptSpec, events: queue.SimpleQueue[Event], cancellation: Cancellation, node: str | None
) -> None:
    result = run_attempt(spec, events.put, cancellation, node)
    events.put(Ended(task=spec.task, attempt=spec.attempt, result=result))


def next_batch(events: queue.SimpleQueue[Event]) -> list[Event]:
    """Wait for events; those that only carry printed text wait for more."""
    batch: list[Event] = []
    deadline = time.monotonic() + _POLL_S
    while len(batch) < _BATCH:
        try:
            batch.append(events.get(timeout=max(0.0, deadline - time.monotonic())))
        except queue.Empty:
            break
        if not isinstance(batch[-1], Printed):
            break
    return batch


def cancel_grace(spec: AttemptSpec) -> float | None:
    """Return the grace with which an attempt is to be ended, ``None`` if it is not to be ended."""
    grace = _store._internal_kv_get(_cancel_key(spec))  # noqa: SLF001  # it has no public name
    return None if grace is None else float(grace)


def _obey(spec: AttemptSpec, cancellation: Cancellation) -> None:
    grace = None if cancellation.requested else cancel_grace(spec)
    if grace is not None:
        threading.Thread(target=cancellation.request, args=(grace,), daemon=True).start()


def _cancel_key(spec: AttemptSpec) -> bytes:
    return f"nbdag:cancel:{attempt_name(spec)}".encode()


@functools.cache
def _attempts() -> ThreadPoolExecutor:
    """Return the one thread of this process that runs attempts; Ray blocks SIGINT, which the work must get."""
    return ThreadPoolExecutor(
        1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_UNBLOCK, [signal.SIGINT])
    )


def with_gpus(spec: AttemptSpec) -> AttemptSpec:
    """Let the work see the GPUs that Ray chose for it, the only thing that it learns from Ray."""
    if not spec.gpus:
        return spec
    chosen = {name: os.environ[name] for name in _GPU_VARIABLES if name in os.environ}
    return replace(spec, env={**spec.env, **chosen})
