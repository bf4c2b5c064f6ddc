"""The result of a finished execution: one JSON document with a checksum over its own bytes."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, TypeAlias

import msgspec
from xxhash import xxh3_128_hexdigest

from nbmake_dag_cache.digest import Digest, digest_listing, digest_with_permission
from nbmake_dag_cache.key import Ingredient, Key

FORMAT = 7
MAX_RECORD_BYTES = 64 << 20

Number: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
"""A JSON number, or the name that protobuf's JSON gives to a float that JSON cannot represent."""


AccessMode: TypeAlias = Literal["read", "write"]


class OutputFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that a task wrote. ``path`` is relative to the project; ``executable`` is the owner's x bit."""

    path: str
    xxh3: str
    sha256: str
    size: int
    executable: bool = False

    @property
    def digest(self) -> Digest:
        """The digest of its content and its executable bit."""
        return digest_with_permission(Digest(self.xxh3), executable=self.executable)


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One declared output. ``path`` ends with ``/`` for a directory, whose ``digest`` is over its listing.

    ``folders`` are the paths of empty folders in it, each with a slash at its end.
    """

    path: str
    digest: str
    files: tuple[OutputFile, ...]
    folders: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str, files: tuple[OutputFile, ...], folders: tuple[str, ...] = ()) -> Output:
        """Make an output of what it holds: of one file, or of all that is in a folder."""
        if not path.endswith("/"):
            return cls(path=path, digest=files[0].digest, files=files)
        listing = ((file.path.removeprefix(path), Digest(file.xxh3), file.executable) for file in files)
        digest = digest_listing(listing, (folder.removeprefix(path).rstrip("/") for folder in folders))
        return cls(path=path, digest=digest, files=files, folders=folders)


class Artifact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A logged file, held as a blob."""

    sha256: str
    size: int
    media_type: str


class Logged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the work logged. ``metrics`` holds last values; ``series`` names a blob with every point."""

    params: dict[str, Any] = {}
    metrics: dict[str, Number] = {}
    tags: dict[str, str] = {}
    artifacts: dict[str, Artifact] = {}
    series: str | None = None


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An undeclared access to a file inside the repository."""

    path: str
    mode: AccessMode
    xxh3: str | None = None
    """The digest of a file that was read, as it was when the task ended, where that is known."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The execution that produced a record. ``started`` in nanoseconds since the epoch."""

    run_id: str
    trace_id: str
    span_id: str
    started: int
    duration_s: float
    commit: str | None = None
    profiles: tuple[str, ...] = ()
    """Those that lay over the pipeline file."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result of one execution of one task, and every ingredient that decided it.

    ``own_key`` is the key of the ingredients known before anything runs, ``static_key`` adds the upstream
    digests, ``key`` adds the trace. ``cells`` names a blob with the outputs of the cells that count, ``source``
    one with the notebook as it was executed; ``injected`` is the code of the cell that was added to it.
    """

    format: int = FORMAT
    key: Key
    static_key: Key
    own_key: Key
    task: str
    ingredients: tuple[Ingredient, ...]
    outputs: tuple[Output, ...]
    logged: Logged
    origin: Origin
    cells: str | None = None
    source: str | None = None
    injected: str | None = None
    undeclared: tuple[Access, ...] = ()
    accepted: bool = False
    stored: bool = True
    """``False``: the outputs' bytes are not in the blob store."""
    inputs: tuple[OutputFile, ...] = ()
    """The inputs that no task made, where they are kept as blobs."""
    made: tuple[str, ...] = ()
    """Modules and scripts that the execution wrote itself, and so are no ingredients."""

    @property
    def trace(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of what the execution was observed to use, in addition to what was known before."""
        return tuple((item.kind, item.name) for item in self.ingredients if item.stage == "trace")


def blobs_of(record: Record) -> frozenset[str]:
    """Return the names of all blobs that a record needs."""
    names = {artifact.sha256 for artifact in record.logged.artifacts.values()}
    names.update(name for name in (record.cells, record.source, record.logged.series) if name is not None)
    names.update(file.sha256 for file in record.inputs)
    if record.stored:
        names.update(file.sha256 for output in record.outputs for file in output.files)
    return frozenset(names)


class DamagedRecordError(ValueError):
    """The bytes of a record are not what was written."""


class OtherFormatError(DamagedRecordError):
    """A record is whole, and of a format that this version does not read."""


class RecordTooLargeError(ValueError):
    """A record has more bytes than any reader takes."""


_PREFIX = b'{"checksum":"'
_HEX = 32
_encode = msgspec.json.Encoder(order="deterministic").encode
_RESERVED = frozenset({".git", ".nbdag"})
_NOT_NORMAL = frozenset({"", ".", ".."})
_decode = msgspec.json.Decoder(Record).decode


class _Format(msgspec.Struct, frozen=True):
    format: int


_decode_format = msgspec.json.Decoder(_Format).decode


def encode_record(record: Record) -> bytes:
    """Write a record as JSON whose first member is the xxh3-128 of all that follows it."""
    body = b"," + _encode(record)[1:]
    return _PREFIX + xxh3_128_hexdigest(body).encode() + b'"' + body


def _is_inside(path: str) -> bool:
    """Return whether a file's path stays in the project, outside of folders that tasks must not write."""
    parts = path.split("/")
    return "\0" not in path and parts[0] not in _RESERVED and not _NOT_NORMAL.intersection(parts)


def _is_input(path: str) -> bool:
    """Return whether the path of an input, a folder with a slash at its end, may be read or replayed.

    It may lead out of the project, as declared inputs do, but only by folders above it.
    """
    below = path
    while below.startswith("../"):
        below = below[3:]
    return path == "./" or (bool(path) and not below) or _is_inside(below.removesuffix("/"))


def _refuse_paths(record: Record) -> None:
    for item in record.ingredients:
        # a remote input has its URL there
        if item.kind == "input" and "://" not in item.path and not _is_input(item.path):
            raise DamagedRecordError(f"it has an input where none can be: {item.path!r}")
    for file in record.inputs:
        if file.path.endswith("/") or not _is_input(file.path):
            raise DamagedRecordError(f"it has an input where none can be: {file.path!r}")
    for output in record.outputs:
        for file in output.files:
            owned = file.path.startswith(output.path) if output.path.endswith("/") else file.path == output.path
            if not (owned and _is_inside(file.path)):
                raise DamagedRecordError(f"it has a file where outputs are not allowed: {file.path!r}")
        for folder in output.folders:
            bare = folder.removesuffix("/")
            if not (output.path.endswith("/") and bare.startswith(output.path) and _is_inside(bare)):
                raise DamagedRecordError(f"it has a folder where outputs are not allowed: {folder!r}")


def record_from(value: object) -> Record:
    """Read a record that another machine took apart, as a bundle has it; raises `DamagedRecordError`."""
    try:
        record = msgspec.convert(value, Record)
    except msgspec.ValidationError as error:
        raise DamagedRecordError(str(error)) from error
    return _checked(record)


def decode_record(data: bytes) -> Record:
    """Read a record back; raises `DamagedRecordError` for anything that `encode_record` did not write."""
    body = data[len(_PREFIX) + _HEX + 1 :]
    if not data.startswith(_PREFIX + xxh3_128_hexdigest(body).encode() + b'"'):
        raise DamagedRecordError("its checksum does not match")
    try:
        record = _decode(b"{" + body[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_other_format(body)
        raise DamagedRecordError(str(error)) from error
    return _checked(record)


def _refuse_other_format(body: bytes) -> None:
    """Raise `OtherFormatError` for a record that another version wrote, whatever else is in it."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _refuse_format(_decode_format(b"{" + body[1:]).format)


def _refuse_format(found: int) -> None:
    if found != FORMAT:
        raise OtherFormatError(f"it has format {found}, this version reads {FORMAT}")


def _checked(record: Record) -> Record:
    _refuse_format(record.format)
    _refuse_paths(record)
    return record
