"""Results on their way to the shared cache, behind the back of the build that makes them.

What could not be sent in time is noted in the checkout's state, and sent by the next build that does anything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import msgspec

from nbmake_dag.build.prepare import Stores
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record, encode_record
from nbmake_dag_cache.remote import RemoteError
from nbmake_dag_cache.retention import blobs_of
from nbmake_dag_cache.shared import SharedCache
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets

_AT_ONCE = 4
_PATIENCE_S = 60.0
_RATE = 1 << 20
"""Bytes per second for which the end of a build waits."""
_MOST_NOTED = 10_000


class Uploads:
    """Sends records and their blobs, unless they hold a secret."""

    def __init__(self, shared: SharedCache, stores: Stores, state: str, secrets: Mapping[str, str]) -> None:
        self._shared = shared
        self._stores = stores
        self._path = os.path.join(state, "unsent.json")
        self._secrets = Secrets(secrets)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shared-send")
        self._all: dict[Key, tuple[Record, Future[None]]] = {}
        for own_key, key in self._noted():
            record = stores.records.get(own_key, key)
            if record is not None:
                self.add(record)

    def add(self, record: Record) -> None:
        """Send a record as soon as may be; one without the bytes of its outputs helps nobody."""
        if record.stored and not record.accepted:
            self._all[record.key] = record, self._threads.submit(self._send, record)

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
        for record, future in self._all.values():
            error = None if future.cancelled() else future.exception()
            if isinstance(error, SecretFoundError):
                secrets.append(f"{record.task} was not shared: {error}")
            elif future.cancelled() or error is not None:
                unsent.append(record)
        self._note(unsent)
        return len(self._all) - len(unsent) - len(secrets), len(unsent) + len(secrets), tuple(secrets)

    def _send(self, record: Record) -> None:
        self._secrets.refuse(encode_record(record), "its record")
        for name in sorted(blobs_of(record)):
            for piece in _overlapping(self._stores.blobs.pieces(name), self._secrets.longest):
                if self._shared.remote.gone:
                    raise RemoteError(self._shared.remote.gone)
                self._secrets.refuse(piece, _called(record, name))
        self._shared.publish(record, self._stores.blobs)

    def _noted(self) -> list[tuple[Key, Key]]:
        with contextlib.suppress(OSError, msgspec.DecodeError), open(self._path, "rb") as file:
            return msgspec.json.decode(file.read(), type=list[tuple[Key, Key]])
        return []

    def _note(self, unsent: list[Record]) -> None:
        """Remember what the next build is to send; without room on the disk it is forgotten."""
        if not unsent:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            return
        names = [(record.own_key, record.key) for record in unsent[-_MOST_NOTED:]]
        temporary = f"{self._path}.new"
        with contextlib.suppress(OSError):
            with open(temporary, "wb") as file:
                file.write(msgspec.json.encode(names))
            os.replace(temporary, self._path)


def _overlapping(pieces: Iterator[bytes], overlap: int) -> Iterator[bytes]:
    """Put the end of each piece before the next, so that nothing up to that length is cut in two."""
    end = b""
    for piece in pieces:
        joined = end + piece
        yield joined
        end = joined[-overlap:] if overlap else b""


def _called(record: Record, name: str) -> str:
    """Say what a blob of a record is."""
    for output in record.outputs:
        for file in output.files:
            if file.sha256 == name:
                return file.path
    for artifact, described in record.logged.artifacts.items():
        if described.sha256 == name:
            return artifact
    return "its notebook" if name == record.source else "what it printed or logged"
