"""Uploads of results to the shared cache, in the background while the build runs.

What could not be sent in time is noted in the checkout's state, and sent by the next build that does anything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag.runs.exchange import overlapping
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record, blobs_of, encode_record
from nbmake_dag_cache.remote import RemoteError
from nbmake_dag_cache.shared import SharedCache
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets

_AT_ONCE = 4
_PATIENCE_S = 60.0
_RATE = 1 << 20
"""Bytes per second for which the end of a build waits."""
_MOST_NOTED = 10_000


class Uploads:
    """Sends records and their blobs, unless they hold a secret."""

    def __init__(self, shared: SharedCache, stores: Stores, state: str, secrets: Secrets) -> None:
        self._shared = shared
        self._stores = stores
        self._path = os.path.join(state, "unsent.json")
        self._file = StateFile(self._path, "nbdag-unsent 2", list[tuple[Key, Key]])
        self._secrets = secrets
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shared-send")
        self._all: dict[Key, tuple[Record, Future[None]]] = {}
        for own_key, key in self._file.read(stores.warnings.append) or ():
            record = stores.records.get(own_key, key)
            if record is not None:
                self.add(record)

    def add(self, record: Record, done: Callable[[], None] = lambda: None) -> None:
        """Send a record as soon as possible; one without the bytes of its outputs is useless.

        ``done`` is called when nothing is left to do, after success or failure, from any thread.
        """
        if record.stored and not record.accepted:
            future = self._threads.submit(self._send, record)
            self._all[record.key] = record, future
            future.add_done_callback(lambda _: done())
        else:
            done()

    def finish(self) -> tuple[int, int, tuple[str, ...]]:
        """Wait for what is under way; return how many were sent, how many were not, and which hold a secret."""
        waiting = [record for record, future in self._all.values() if not future.done()]
        size = sum(self._stores.blobs.size(name) or 0 for record in waiting for name in blobs_of(record))
        wait([future for _, future in self._all.values()], _PATIENCE_S + size / _RATE)
        if any(not future.done() for _, future in self._all.values()):
            self._shared.remote.give_up("the build had ended, and sending took too long")
        self._threads.shutdown(wait=True, cancel_futures=True)
        unsent: list[Record] = []
        secrets: list[str] = []
        lost = 0
        for record, future in self._all.values():
            error = None if future.cancelled() else future.exception()
            if isinstance(error, SecretFoundError):
                secrets.append(f"{record.task} was not shared: {error}")
            elif isinstance(error, BlobError):
                lost += 1  # there is nothing to send until the task runs again
            elif future.cancelled() or error is not None:
                unsent.append(record)
        self._note(unsent)
        not_sent = len(unsent) + len(secrets) + lost
        return len(self._all) - not_sent, not_sent, tuple(secrets)

    def _send(self, record: Record) -> None:
        self._secrets.refuse_suspicious(encode_record(record), "its record")
        for name in sorted(blobs_of(record)):
            for piece in overlapping(self._stores.blobs.pieces(name), self._secrets.longest):
                if self._shared.remote.gone:
                    raise RemoteError(self._shared.remote.gone)
                self._secrets.refuse_suspicious(piece, _called(record, name))
        self._shared.publish(record, self._stores.blobs)

    def _note(self, unsent: list[Record]) -> None:
        """Remember what the next build is to send; without room on the disk it is forgotten."""
        if not unsent:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            return
        names = [(record.own_key, record.key) for record in unsent[-_MOST_NOTED:]]
        with contextlib.suppress(OSError):
            self._file.write(names)


def _called(record: Record, name: str) -> str:
    """Describe a blob of a record."""
    for output in record.outputs:
        for file in output.files:
            if file.sha256 == name:
                return file.path
    for artifact, described in record.logged.artifacts.items():
        if described.sha256 == name:
            return artifact
    return "its notebook" if name == record.source else "what it printed or logged"
