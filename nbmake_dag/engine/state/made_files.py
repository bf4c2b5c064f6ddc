"""The files that records have as outputs, and the code that tasks used or wrote; only new records are decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from nbmake_dag.engine.state.stores import Stores
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.stamps import Stamp

_SCHEMA = "made files 3"
_ALL = Digest("all")


class _File(msgspec.Struct, frozen=True, array_like=True):
    output: str
    path: str
    xxh3: str
    sha256: str


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """What one record has; ``stamp`` is that of its file when it was decoded."""

    stamp: Stamp
    task: str
    accepted: bool
    files: tuple[_File, ...]
    modules: tuple[str, ...]
    profiles: tuple[str, ...]
    started: int
    wrote_code: bool


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a declared output, and the record that has it."""

    path: str
    output: str
    digest: Digest
    sha256: str
    record: Key
    is_accepted: bool


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What all records of a checkout say."""

    files: tuple[MadeFile, ...] = ()
    """Those whose bytes are stored."""
    modules: Mapping[str, frozenset[str]] = {}
    """The modules and scripts that each task was seen to use."""
    profiles: frozenset[tuple[str, ...]] = frozenset()
    """The profiles, those of one run together, under which results were made."""
    wrote_code: Mapping[str, tuple[Key, Key]] = {}
    """Own key and key of the newest record of each task that wrote code of its own then."""


class MadeFiles:
    """Reads what the records say, for one build: they are listed once, and later only new ones are added."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._rows: dict[str, _Row] | None = None
        self._made = Made()
        self._published = 0

    def read(self) -> Made:
        """Return what the records say; one is decoded once while it stays as it is."""
        records = self._stores.records
        if self._rows is None:
            known = _remembered(self._stores)
            self._rows = self._found(records.stamps(), known)
            if self._rows != known:
                self._stores.identities.put(_ALL, _SCHEMA, msgspec.json.encode(self._rows).decode())
        elif len(records.published) > self._published:
            new = records.published[self._published :]
            self._rows |= self._found(((*keys, records.stamp(*keys)) for keys in new), {})
        else:
            return self._made
        self._published = len(records.published)
        self._made = _made_of(self._rows)
        return self._made

    def _found(
        self, stamps: Iterable[tuple[Key, Key, Stamp | None]], known: Mapping[str, _Row]
    ) -> dict[str, _Row]:
        found: dict[str, _Row] = {}
        for own_key, key, stamp in stamps:
            if stamp is None:
                continue
            name = f"{own_key}/{key}"
            row = known.get(name)
            if row is None or row.stamp != stamp:
                record = self._stores.records.get(own_key, key)
                if record is None:
                    continue
                row = _row_of(record, stamp)
            found[name] = row
        return found


def _made_of(found: Mapping[str, _Row]) -> Made:
    modules: dict[str, set[str]] = {}
    newest: dict[str, str] = {}
    for name, row in sorted(found.items(), key=lambda item: item[1].started):
        modules.setdefault(row.task, set()).update(row.modules)
        newest[row.task] = name
    return Made(
        files=tuple(file for name, row in found.items() for file in _files_of(_keys_in(name)[1], row)),
        modules={task: frozenset(paths) for task, paths in modules.items()},
        profiles=frozenset(row.profiles for row in found.values()),
        wrote_code={task: _keys_in(name) for task, name in newest.items() if found[name].wrote_code},
    )


def _keys_in(name: str) -> tuple[Key, Key]:
    own_key, _, key = name.partition("/")
    return Key(own_key), Key(key)


def _files_of(key: Key, row: _Row) -> Iterator[MadeFile]:
    for file in row.files:
        yield MadeFile(
            path=file.path,
            output=file.output,
            digest=Digest(file.xxh3),
            sha256=file.sha256,
            record=key,
            is_accepted=row.accepted,
        )


def _remembered(stores: Stores) -> dict[str, _Row]:
    text = stores.identities.get(_ALL, _SCHEMA)
    if text is not None:
        with suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(text, type=dict[str, _Row])
    return {}


def _row_of(record: Record, stamp: Stamp) -> _Row:
    files = (
        _File(output.path, file.path, file.xxh3, file.sha256)
        for output in (record.outputs if record.stored else ())
        for file in output.files
    )
    return _Row(
        stamp=stamp,
        task=record.task,
        accepted=record.accepted,
        files=tuple(files),
        modules=tuple(name for kind, name in record.trace if kind == "module"),
        profiles=record.origin.profiles,
        started=record.origin.started,
        wrote_code=bool(record.made),
    )
