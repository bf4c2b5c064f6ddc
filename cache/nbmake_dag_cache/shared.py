"""The shared cache: records and blobs on a remote, in a namespace for each zone of trust.

    <zone>/traces/ab/ab12….json     what executions with one static key used besides, newest first
    <zone>/records/cd/cd34….json    a record, perhaps signed
    <zone>/blobs/ef/ef56…
    <zone>/claims/ab/ab12….json     somebody executes what has this static key; advice, removed when it is done

The first is named by the SHA-256 of the ingredients known before running, the second by that of all. A reader
computes both from what it sees itself, so nothing is ever listed, and checks every answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock
from typing import Annotated, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from nbmake_dag_cache.admission import RefusedError, admit
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.depot import Depot
from nbmake_dag_cache.key import Ingredient, shared_name_of
from nbmake_dag_cache.record import DamagedRecordError, Record, blobs_of, decode_record, encode_record
from nbmake_dag_cache.remote import Remote, RemoteError

FORMAT: Literal[1] = 1
MAX_CLAIM = 4 << 10
MAX_RECORD = 16 << 20
_MAX_TRACES = 1 << 20
_TRACES_KEPT = 16
_AT_ONCE = 8
_T = TypeVar("_T")

Use: TypeAlias = tuple[Literal["module", "read"], Annotated[str, msgspec.Meta(max_length=4096)]]
"""Kind and name of something that an execution was seen to use."""
Trace: TypeAlias = Annotated[tuple[Use, ...], msgspec.Meta(max_length=10_000)]


class Verifier(Protocol):
    """Knows whose signatures count."""

    def accepts(self, data: bytes, signature: str) -> bool: ...


class Signer(Protocol):
    """Signs what is published."""

    def sign(self, data: bytes) -> str: ...


class _Traces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The traces of executions with one static key; a hint where to look."""

    format: Literal[1] = FORMAT
    traces: Annotated[tuple[Trace, ...], msgspec.Meta(max_length=_TRACES_KEPT)]


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record as it travels; the signature is of the record's very bytes."""

    format: Literal[1] = FORMAT
    signature: str | None = None
    record: msgspec.Raw


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader knows of the record that it looks for."""

    known: tuple[Ingredient, ...]
    """The ingredients of the stages ``own`` and ``upstream``."""
    outputs: tuple[str, ...]
    """The declared ones."""
    present: Callable[[Trace], Iterable[Ingredient]]
    """Gives what a trace names with its digests here; raises `RefusedError` for what nothing here could use."""
    accepts: Callable[[Record], bool]
    """Says whether a record may be used, if it is the right one."""


class Zones(msgspec.Struct, frozen=True, kw_only=True):
    """Where records are looked for, in this order, and where they are written, if anywhere."""

    reads: tuple[str, ...]
    writes: str | None = None


class SharedCache:
    """Records and blobs of others, each checked before it is believed; any number of threads may use it."""

    def __init__(
        self,
        remote: Remote,
        zones: Zones,
        *,
        max_size: int,
        verifier: Verifier | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.remote = remote
        self.refused: Counter[str] = Counter()
        """The number of refused entries, by reason."""
        self._zones = zones
        self._depot = Depot(remote, zones.reads)
        self._max_size = max_size
        self._verifier = verifier
        self._signer = signer
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="shared-blobs")

    def candidates(self, question: Question) -> Iterator[Record]:
        """Yield the records that answer a question; raises `RemoteError`."""
        static_name = shared_name_of(question.known)
        for zone in self._zones.reads:
            for trace in self._traces(zone, static_name):
                try:
                    record = self._record(zone, (*question.known, *question.present(trace)), question.outputs)
                except RefusedError as error:
                    self.refuse(str(error))
                    continue
                if record is not None and question.accepts(record):
                    yield record

    def fetch(self, record: Record, blobs: BlobStore) -> None:
        """Bring the blobs of a record that are not here; raises `RefusedError`, `RemoteError`, `OSError`."""
        self._each(lambda blob: self._bring(blob, blobs), _needed(record))

    def publish(self, record: Record, blobs: BlobStore) -> None:
        """Write a record and its blobs, the record last; what is there already is not sent again.

        What fails is tried once more. Raises `BlobError`, `RemoteError`, and `RefusedError` for a record that no
        reader would take.
        """
        try:
            self._publish(record, blobs)
        except RemoteError:
            if self.remote.gone:
                raise
            self._publish(record, blobs)

    def _publish(self, record: Record, blobs: BlobStore) -> None:
        zone = self._zones.writes
        if zone is None:
            raise ValueError("this build may not write")
        data = encode_record(record)
        signature = self._signer.sign(data) if self._signer else None
        envelope = msgspec.json.encode(_Envelope(signature=signature, record=msgspec.Raw(data)))
        if len(envelope) > MAX_RECORD:
            raise RefusedError("too large")
        self._each(lambda name: self._depot.send(zone, name, blobs), sorted(blobs_of(record)))
        self._note_trace(zone, record)
        self.remote.write(_path(zone, "records", shared_name_of(record.ingredients)), envelope)

    def claim_of(self, known: Iterable[Ingredient]) -> str | None:
        """Return the path of the claim for what is known before running; ``None`` if this build may not write."""
        return _path(self._zones.writes, "claims", shared_name_of(known)) if self._zones.writes else None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _traces(self, zone: str, static_name: str) -> tuple[Trace, ...]:
        try:
            data = self.remote.read(_path(zone, "traces", static_name), _MAX_TRACES)
            return msgspec.json.decode(data, type=_Traces).traces if data is not None else ()
        except RefusedError as error:
            self.refuse(f"traces {error}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.refuse("damaged traces")
        return ()

    def _record(self, zone: str, ingredients: tuple[Ingredient, ...], outputs: tuple[str, ...]) -> Record | None:
        data = self.remote.read(_path(zone, "records", shared_name_of(ingredients)), MAX_RECORD)
        if data is None:
            return None
        try:
            envelope = msgspec.json.decode(data, type=_Envelope)
            text = bytes(envelope.record)
            if self._verifier is not None:
                if envelope.signature is None:
                    raise RefusedError("no signature")
                if not self._verifier.accepts(text, envelope.signature):
                    raise RefusedError("wrong signature")
            record = decode_record(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DamagedRecordError) as error:
            raise RefusedError("damaged record") from error
        admit(record, ingredients, outputs, max_size=self._max_size, now=time.time_ns())
        return record

    def _bring(self, blob: _Blob, blobs: BlobStore) -> None:
        """Make a blob available locally, intact, with the digests that its record gives."""
        here = blobs.examine(blob.sha256)
        if here is None:
            self._depot.bring(blob.sha256, blob.size, blobs, blob.xxh3)
        elif blob.size not in {None, here.size} or blob.xxh3 not in {None, here.xxh3}:
            raise RefusedError("a blob with other digests")

    def _note_trace(self, zone: str, record: Record) -> None:
        """Put what an execution used in front of what others with its static key used."""
        static_name = shared_name_of(item for item in record.ingredients if item.stage != "trace")
        mine = record.trace
        known = self._traces(zone, static_name)
        if known[:1] != (mine,):
            kept = (mine, *(trace for trace in known if trace != mine))[:_TRACES_KEPT]
            document = msgspec.json.encode({"format": FORMAT, "traces": kept})
            self.remote.write(_path(zone, "traces", static_name), document)

    def _each(self, action: Callable[[_T], None], items: Iterable[_T]) -> None:
        """Do something for each item at once; raises what the first failure raises, when none is under way."""
        futures = [self._threads.submit(action, item) for item in items]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def refuse(self, why: str) -> None:
        """Count a refused entry."""
        with self._lock:
            self.refused[why] += 1


class _Blob(msgspec.Struct, frozen=True):
    """A blob as a record describes it; ``None`` is unknown."""

    sha256: str
    size: int | None
    xxh3: str | None


def _needed(record: Record) -> Iterable[_Blob]:
    """Return each blob once, in the order of the record."""
    logged = record.logged
    return dict.fromkeys(
        (
            *(_Blob(file.sha256, file.size, file.xxh3) for output in record.outputs for file in output.files),
            *(_Blob(artifact.sha256, artifact.size, None) for artifact in logged.artifacts.values()),
            *(
                _Blob(name, None, None)
                for name in (record.cells, record.source, logged.series)
                if name is not None
            ),
        )
    )


def _path(zone: str, kind: str, name: str) -> str:
    return f"{zone}/{kind}/{name[:2]}/{name}.json"
