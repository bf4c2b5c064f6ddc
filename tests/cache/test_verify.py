"""verify finds every fault and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.record import Record, encode_record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.verify import CacheInfo, Fault, Finding, info, verify

MakeRecord = Callable[..., Record]


@pytest.fixture
def record(tmp_path: Path, make_record: MakeRecord) -> Record:
    """Publish a record and its one blob in `tmp_path`."""
    stored = BlobStore(str(tmp_path)).put_bytes(b"content")
    record = make_record(files=[("out", stored.sha256, stored.size)])
    RecordStore(str(tmp_path)).publish(record)
    return record


def record_path(record: Record) -> str:
    return f"records/{record.own_key[:2]}/{record.own_key}/{record.key}.json"


def blob_path(record: Record) -> str:
    sha256 = record.outputs[0].files[0].sha256
    return f"blobs/{sha256[:2]}/{sha256}"


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_sound_cache_has_no_findings(tmp_path: Path, record: Record):
    """Neither has an empty one."""
    assert verify(str(tmp_path)) == ()
    assert verify(str(tmp_path / "missing")) == ()
    assert info(str(tmp_path)) == CacheInfo(
        records=1, records_size=len(encode_record(record)), blobs=1, blobs_size=7
    )
    assert info(str(tmp_path / "missing")) == CacheInfo(records=0, records_size=0, blobs=0, blobs_size=0)


def test_every_flipped_bit_of_every_file_is_found(tmp_path: Path, record: Record):
    """One finding, in the right file; the file is left as it was met."""
    for path, fault in ((record_path(record), Fault.DAMAGED_RECORD), (blob_path(record), Fault.DAMAGED_BLOB)):
        file = tmp_path / path
        whole = file.read_bytes()
        file.chmod(0o644)
        for position in range(len(whole)):
            file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            before = contents(tmp_path)
            assert [(finding.path, finding.fault) for finding in verify(str(tmp_path))] == [(path, fault)]
            assert contents(tmp_path) == before
        file.write_bytes(whole)


def test_a_missing_blob_is_found_by_its_record(tmp_path: Path, record: Record):
    """The finding names the record, and the blob that it lacks."""
    (tmp_path / blob_path(record)).unlink()
    expected = Finding(
        path=record_path(record), fault=Fault.MISSING_BLOB, detail=record.outputs[0].files[0].sha256
    )
    assert verify(str(tmp_path)) == (expected,)


def test_two_swapped_blobs_are_two_findings(tmp_path: Path, record: Record):
    """Sound bytes under another's name are damage."""
    other = BlobStore(str(tmp_path)).put_bytes(b"another")
    one, two = tmp_path / blob_path(record), tmp_path / "blobs" / other.sha256[:2] / other.sha256
    one.rename(tmp_path / "swap")
    two.rename(one)
    (tmp_path / "swap").rename(two)
    assert [finding.fault for finding in verify(str(tmp_path))] == [Fault.DAMAGED_BLOB] * 2


def test_a_record_that_lies_about_itself_is_found(tmp_path: Path, record: Record, make_record: MakeRecord):
    """A name that is not its key, or a key that is not the hash of its ingredients."""
    path = tmp_path / record_path(record)
    moved = make_record(traced="1", files=[("out", record.outputs[0].files[0].sha256, 7)])
    path.write_bytes(encode_record(moved))
    (finding,) = verify(str(tmp_path))
    assert (finding.fault, finding.detail) == (Fault.DAMAGED_RECORD, "it is the record of another key")
    path.write_bytes(encode_record(msgspec.structs.replace(record, ingredients=())))
    (finding,) = verify(str(tmp_path))
    assert (finding.fault, finding.detail) == (
        Fault.DAMAGED_RECORD,
        "its key is not that of its ingredients",
    )


def test_strange_files_are_found(tmp_path: Path, record: Record):
    """A name that is no SHA-256, a blob in the wrong folder, and what is no record."""
    sha256 = record.outputs[0].files[0].sha256
    strange = ["blobs/strange", f"blobs/zz/{sha256}", "records/strange"]
    for path in strange:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"content")
    assert [finding.path for finding in verify(str(tmp_path))] == strange
