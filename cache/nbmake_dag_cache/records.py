"""The records of past executions, one file each, in folders by own key."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from operator import attrgetter

from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import CacheLayout, files_below, is_key, publish, remove
from nbmake_dag_cache.record import (
    MAX_RECORD_BYTES,
    DamagedRecordError,
    OtherFormatError,
    Record,
    RecordTooLargeError,
    decode_record,
    encode_record,
)
from nbmake_dag_cache.stamps import Stamp, stamp_of

_SUFFIX = ".json"
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO})
"""Errors of opening a link that leads in a circle, and a socket."""


class RecordStore:
    """The records of one cache folder; any number of processes may use it at once.

    A file that is not a whole record, or does not match its name, is removed when it is read, and listed in
    ``damaged``. One that another version of nbdag wrote is left to it. ``warn`` is called with either.
    """

    def __init__(self, root: str, warn: Callable[[str], None] = lambda _: None) -> None:
        self._layout = CacheLayout(root)
        self._warn = warn
        self._has_other_formats = False
        self.damaged: list[str] = []
        """Paths of the files that were removed."""
        self.published: list[tuple[Key, Key]] = []
        """Own key and key of each record that was made visible by this object."""

    def publish(self, record: Record) -> None:
        """Make a record visible; every blob that it names must be in the store by now.

        Raises `RecordTooLargeError` for one that could not be read back.
        """
        path, data = self._layout.record(record.own_key, record.key), encode_record(record)
        if len(data) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(
                f"its record would take {len(data) >> 20} MiB, more than {MAX_RECORD_BYTES >> 20}"
            )
        publish(self._layout, path, data)
        self.published.append((record.own_key, record.key))

    def candidates(self, own_key: Key, known: Record | None = None) -> tuple[Record, ...]:
        """Return the records of executions that looked the same before anything ran, newest first.

        One that was read just now may be ``known``: it is not read again.
        """
        try:
            names = os.listdir(self._layout.record_folder(own_key))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        here = known.key + _SUFFIX if known is not None and known.own_key == own_key else None
        found = [
            record
            for name in names
            if (record := known if name == here else self._read_named(own_key, name)) is not None
        ]
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
        for entry in files_below(self._layout.records):
            own_key, name = entry.path.split("/")[-2:]
            if name.endswith(_SUFFIX):
                yield Key(own_key), Key(name.removesuffix(_SUFFIX))

    def stamps(self) -> Iterator[tuple[Key, Key, Stamp]]:
        """Yield own key, key and stamp of every record, none of which is read."""
        for own_key, key in self.names():
            if (stamp := self.stamp(own_key, key)) is not None:
                yield own_key, key, stamp

    def stamp(self, own_key: Key, key: Key) -> Stamp | None:
        """Return the stamp of a record, if it is there."""
        try:
            return stamp_of(os.stat(self._layout.record(own_key, key)))
        except OSError:
            return None

    def __iter__(self) -> Iterator[Record]:
        for own_key, key in self.names():
            if record := self.get(own_key, key):
                yield record

    def remove(self, own_key: Key, key: Key) -> None:
        remove(self._layout.record(own_key, key))
        with contextlib.suppress(OSError):
            os.rmdir(self._layout.record_folder(own_key))

    def _read_named(self, own_key: Key, name: str) -> Record | None:
        path = f"{self._layout.record_folder(own_key)}/{name}"
        try:
            record = read_record(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OtherFormatError as error:
            if not self._has_other_formats:
                self._has_other_formats = True
                self._warn(f"results of another version of nbdag are not used, such as {path}: {error}")
            return None
        except DamagedRecordError:
            record = None
        if record is None or record.own_key != own_key or record.key + _SUFFIX != name:
            if remove(path):
                self.damaged.append(path)
                self._warn(f"{path} was damaged and is removed")
            return None
        return record


def readable(root: str) -> Iterator[Record]:
    """Yield the records of a cache folder that can be read; nothing is removed."""
    layout = CacheLayout(root)
    for own_key, key in RecordStore(root).names():
        with contextlib.suppress(OSError, DamagedRecordError):
            yield read_record(layout.record(own_key, key))


def read_record(path: str) -> Record:
    """Read one record; raises `OSError`, and `DamagedRecordError`, also for something other than a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise DamagedRecordError(f"{path} is not a file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedRecordError(f"{path} is not a file")
        size = status.st_size
        return decode_record(os.read(descriptor, min(size, MAX_RECORD_BYTES) + 1))
    finally:
        os.close(descriptor)
