"""The records of past executions, one file each, in folders by own key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from operator import attrgetter

from nbmake_dag_cache.key import Key
from nbmake_dag_cache.place import Place, files_below, is_key, publish, remove
from nbmake_dag_cache.record import MAX_RECORD_BYTES, DamagedRecordError, Record, decode_record, encode_record

_SUFFIX = ".json"


class RecordStore:
    """The records of one cache folder; any number of processes may use it at once.

    A file that is not a whole record, or not the one that its name says, is removed when it is met, and listed in
    ``damaged``, so that the caller can say so once.
    """

    def __init__(self, root: str) -> None:
        self._place = Place(root)
        self.damaged: list[str] = []
        """Paths of the files that were removed."""

    def publish(self, record: Record) -> None:
        """Make a record visible; every blob that it names must be in the store by now."""
        path = self._place.record(record.own_key, record.key)
        publish(self._place, path, encode_record(record))

    def candidates(self, own_key: Key) -> tuple[Record, ...]:
        """Return the records of executions that looked the same before anything ran, newest first."""
        try:
            names = os.listdir(self._place.record_folder(own_key))
        except FileNotFoundError:
            return ()
        found = [record for name in names if (record := self._read_named(own_key, name))]
        if len(found) > 1:
            found.sort(key=attrgetter("origin.started", "key"), reverse=True)
        return tuple(found)

    def get(self, own_key: Key, key: Key) -> Record | None:
        if not (is_key(own_key) and is_key(key)):
            return None
        return self._read_named(own_key, key + _SUFFIX)

    def find(self, prefix: str) -> tuple[Record, ...]:
        """Return the records whose key starts so, in the order of their keys."""
        names = sorted((key, own_key) for own_key, key in self.names() if key.startswith(prefix))
        return tuple(record for key, own_key in names if (record := self.get(own_key, key)))

    def names(self) -> Iterator[tuple[Key, Key]]:
        """Yield own key and key of every record, by their files' names."""
        for entry in files_below(self._place.records):
            own_key, name = entry.path.split("/")[-2:]
            if name.endswith(_SUFFIX):
                yield Key(own_key), Key(name.removesuffix(_SUFFIX))

    def __iter__(self) -> Iterator[Record]:
        for own_key, key in self.names():
            if record := self.get(own_key, key):
                yield record

    def remove(self, own_key: Key, key: Key) -> None:
        remove(self._place.record(own_key, key))
        with contextlib.suppress(OSError):
            os.rmdir(self._place.record_folder(own_key))

    def _read_named(self, own_key: Key, name: str) -> Record | None:
        path = f"{self._place.record_folder(own_key)}/{name}"
        try:
            record = read_record(path)
        except FileNotFoundError:
            return None
        except DamagedRecordError:
            record = None
        if record is None or record.own_key != own_key or record.key + _SUFFIX != name:
            if remove(path):
                self.damaged.append(path)
            return None
        return record


def read_record(path: str) -> Record:
    """Read one record; raises `OSError`, `DamagedRecordError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        return decode_record(os.read(descriptor, min(size, MAX_RECORD_BYTES) + 1))
    finally:
        os.close(descriptor)
