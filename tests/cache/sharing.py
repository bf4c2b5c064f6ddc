"""A shared cache in a local folder, with one result in it, for tests of what readers take from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.key import Ingredient, key_of, shared_name_of
from nbmake_dag_cache.record import Artifact, Logged, Origin, Output, OutputFile, Record
from nbmake_dag_cache.remote import Limits, Remote, RemoteError
from nbmake_dag_cache.shared import Question, SharedCache, Signer, Trace, Verifier, Zones

KNOWN = (
    Ingredient("cell", "1", "aa"),
    Ingredient("parameter", "size", "5"),
    Ingredient("input", "data", "bb", "upstream", "data.csv"),
)
USED = (Ingredient("module", "helper.py", "cc", "trace"),)
TABLE = b"x,y\n1,2\n"
PLOT = b"<svg/>"
CELLS = b"[]"
OUTPUT = "out/table.csv"


def make_record(*, blobs: BlobStore, used: tuple[Ingredient, ...] = USED, table: bytes = TABLE) -> Record:
    """Make the record of an execution whose blobs are in a store."""
    stored, plot, cells = blobs.put_bytes(table), blobs.put_bytes(PLOT), blobs.put_bytes(CELLS)
    own = [item for item in KNOWN if item.stage == "own"]
    return Record(
        key=key_of((*KNOWN, *used)),
        static_key=key_of(KNOWN),
        own_key=key_of(own),
        task="train",
        ingredients=(*KNOWN, *used),
        outputs=(
            Output(
                path=OUTPUT,
                digest=stored.xxh3,
                files=(OutputFile(path=OUTPUT, xxh3=stored.xxh3, sha256=stored.sha256, size=len(table)),),
            ),
        ),
        logged=Logged(
            metrics={"auc": 0.9},
            artifacts={"plots/roc.svg": Artifact(sha256=plot.sha256, size=plot.size, media_type="image/svg+xml")},
        ),
        origin=Origin(
            run_id="20260101-000000-000-abcdef",
            trace_id="1" * 32,
            span_id="2" * 16,
            started=1_700_000_000_000_000_000,
            duration_s=3.0,
        ),
        cells=cells.sha256,
    )


def present(trace: Trace) -> Iterable[Ingredient]:
    """Look at what a trace names, in a repository that has one helper."""
    for kind, name in trace:
        if ".." in name.split("/"):
            raise RefusedError("a trace that leads out of the repository")
        yield Ingredient(kind, name, "cc" if name == "helper.py" else "", "trace")


def question(known: tuple[Ingredient, ...] = KNOWN) -> Question:
    return Question(known=known, outputs=(OUTPUT,), present=present, accepts=lambda _: True)


class Clone:
    """One user of a shared cache: an own store, and the shared one."""

    def __init__(
        self,
        root: Path,
        url: str,
        zones: Zones | None = None,
        *,
        verifier: Verifier | None = None,
        signer: Signer | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = root
        self.blobs = BlobStore(str(root))
        self.remote = Remote(url, limits)
        zones = zones or Zones(reads=("main",), writes="main")
        self.shared = SharedCache(self.remote, zones, max_size=1 << 20, verifier=verifier, signer=signer)

    def publish(self, **changes: object) -> Record:
        record = make_record(blobs=self.blobs, **changes)  # type: ignore[arg-type]
        self.shared.publish(record, self.blobs)
        return record

    def find(self) -> Record | None:
        """Find the record and bring its blobs, as a build does."""
        try:
            for record in self.shared.candidates(question()):
                try:
                    self.shared.fetch(record, self.blobs)
                except RefusedError as error:
                    self.shared.refuse(str(error))
                else:
                    return record
        except RemoteError:
            pass
        return None


def place(folder: Path, kind: str, name: str, zone: str = "main") -> Path:
    """Say where something lies in a shared folder."""
    return folder / zone / kind / name[:2] / (name if kind == "blobs" else f"{name}.json")


RECORD_NAME = shared_name_of((*KNOWN, *USED))
TRACES_NAME = shared_name_of(KNOWN)
TABLE_NAME = hashlib.sha256(TABLE).hexdigest()


def checked(document: dict[str, object]) -> bytes:
    """Write a record's members as `encode_record` does, its checksum first and right."""
    document = {name: value for name, value in document.items() if name != "checksum"}
    body = b"," + json.dumps(document, separators=(",", ":")).encode()[1:]
    return b'{"checksum":"' + digest_bytes(body).encode() + b'"' + body
