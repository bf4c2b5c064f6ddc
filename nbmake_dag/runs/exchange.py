"""Share the records of runs between machines: as bundles in a place that all of them reach."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator

import msgspec

from nbmake_dag.runs.places import SUFFIX, RunsFolder
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.depot import Depot
from nbmake_dag_reporting.bundle import BundleError, Recorded, decode_bundle, encode_bundle
from nbmake_dag_reporting.runs import open_regular
from nbmake_dag_reporting.secrets_scan import Secrets

OUTPUTS = "outputs"
"""The folder of a place below which the bytes of outputs are, by their digests."""
_PIECE = 1 << 20


class Pulled(msgspec.Struct, kw_only=True):
    """The result of pulling from a place; ``refused`` are runs, each with the reason."""

    new: list[str] = []
    refused: list[str] = []
    known: int = 0


def push(place: RunsFolder, runs: Iterable[Recorded], secrets: Secrets) -> list[str]:
    """Put runs into a place that does not have them, and return which; raises `SecretFoundError`.

    Raises `BundleError` for a run of which something is lost: what is in a place stays as it is.
    """
    there = place.pushed()
    pushed: list[str] = []
    for recorded in runs:
        if recorded.run.id not in there:
            if recorded.run.lost:
                raise BundleError(
                    f"run {recorded.run.id} is not whole: a table of its hits is gone or damaged;"
                    " the next build that looks at its tasks writes it again"
                )
            data, _ = encode_bundle(recorded, secrets)
            place.push(recorded.run.id, gzip.compress(data, mtime=0))
            pushed.append(recorded.run.id)
    return pushed


def push_outputs(place: Depot, recorded: Recorded, blobs: BlobStore, secrets: Secrets) -> int:
    """Put the outputs of a run into a place, and return how many of them are no longer here.

    Raises `SecretFoundError` before anything of a file that holds a secret is sent, and `RemoteError`.
    """
    gone = 0
    for task in recorded.run.tasks.values():
        record = recorded.record(task.record.own_key, task.record.key) if task.record else None
        for file in (file for output in record["outputs"] for file in output["files"]) if record else ():
            try:
                for piece in overlapping(blobs.pieces(file["sha256"]), secrets.longest):
                    secrets.refuse_suspicious(piece, file["path"])
                place.send(OUTPUTS, file["sha256"], blobs)
            except BlobError:
                gone += 1
    return gone


def overlapping(pieces: Iterable[bytes], overlap: int) -> Iterator[bytes]:
    """Put the end of each piece before the next, so that nothing up to that length is cut in two."""
    end = b""
    for piece in pieces:
        joined = end + piece
        yield joined
        end = joined[-overlap:] if overlap else b""


def pull(place: RunsFolder, folder: str) -> Pulled:
    """Copy the bundles of a place that the folder does not have whole, each if its content matches its name."""
    pulled = Pulled()
    os.makedirs(folder, exist_ok=True)
    for run_id in sorted(place.pushed()):
        path = os.path.join(folder, run_id + SUFFIX)
        if _is_whole(path):
            pulled.known += 1
            continue
        try:
            data = place.pull(run_id)
            told = decode_bundle(data, run_id).run.id
            if told != run_id:
                raise BundleError(f"{run_id} holds run {told}")  # noqa: TRY301 - said like other faults
        except BundleError as error:
            pulled.refused.append(str(error))
            continue
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
        pulled.new.append(run_id)
    return pulled


def _is_whole(path: str) -> bool:
    """Return whether there is a compressed file whose checksum is right."""
    try:
        with open_regular(path) as packed, gzip.open(packed) as file:
            while file.read(_PIECE):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True
