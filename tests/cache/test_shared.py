"""What one clone publishes another takes, from its zones and nowhere else, and nothing is sent twice."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.depot import Depot
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.remote import SMALL, Limits, Remote, RemoteError
from nbmake_dag_cache.shared import Zones
from nbmake_dag_cache.signatures import Signer, Verifier
from tests.cache.sharing import (
    CELLS,
    PLOT,
    RECORD_NAME,
    TABLE,
    TABLE_NAME,
    TRACES_NAME,
    Clone,
    make_record,
    place,
)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_another_clone_has_record_and_blobs(tmp_path: Path):
    """The record is the same, and its blobs are in the reader's own store, verified."""
    url = str(tmp_path / "shared")
    one, two = Clone(tmp_path / "one", url), Clone(tmp_path / "two", url)
    record = one.publish()
    assert two.find() == record
    held = [two.blobs.read(name, 100) for name in (TABLE_NAME, record.cells or "", _plot(record))]
    assert held == [TABLE, CELLS, PLOT]
    assert two.shared.refused.total() == 0


def test_a_shared_folder_holds_whole_files_under_their_names(tmp_path: Path):
    """Blobs, a record and its traces; nothing temporary is left."""
    record = Clone(tmp_path / "one", str(tmp_path / "shared")).publish()
    names = [TABLE_NAME, record.cells or "", _plot(record)]
    blobs = [place(tmp_path / "shared", "blobs", name) for name in names]
    others = [
        place(tmp_path / "shared", "records", RECORD_NAME),
        place(tmp_path / "shared", "traces", TRACES_NAME),
    ]
    expected = sorted(str(path.relative_to(tmp_path / "shared")) for path in (*blobs, *others))
    assert files_in(tmp_path / "shared") == expected


@pytest.mark.parametrize("url", ["{}", "file://{}", "memory://{}"])
def test_any_file_system_of_fsspec_will_do(tmp_path: Path, url: str):
    """A folder, the same as a URL, and memory."""
    url = url.format(tmp_path / "shared")
    record = Clone(tmp_path / "one", url).publish()
    assert Clone(tmp_path / "two", url).find() == record


def test_nothing_there_is_a_miss_without_a_complaint(tmp_path: Path):
    """A folder that does not exist is empty."""
    clone = Clone(tmp_path / "one", str(tmp_path / "shared"))
    assert (clone.find(), clone.remote.errors, clone.shared.refused) == (None, [], {})


def test_main_reads_only_main_and_a_pull_request_both(tmp_path: Path):
    """What a pull request writes is found by that one alone; what main writes, by all."""
    url = str(tmp_path / "shared")
    ours, theirs = (
        Zones(reads=("main", "pull-1"), writes="pull-1"),
        Zones(reads=("main", "pull-2"), writes="pull-2"),
    )
    record = Clone(tmp_path / "pull", url, ours).publish()
    assert Clone(tmp_path / "main", url).find() is None
    assert Clone(tmp_path / "other", url, theirs).find() is None
    assert Clone(tmp_path / "again", url, ours).find() == record
    Clone(tmp_path / "merged", url).publish()
    assert Clone(tmp_path / "after", url, theirs).find() == record


def test_a_pull_request_sends_no_blob_that_main_has(tmp_path: Path):
    """Its own zone gets the record, and reads the bytes from main's."""
    url = str(tmp_path / "shared")
    Clone(tmp_path / "main", url).publish()
    zones = Zones(reads=("main", "pull-1"), writes="pull-1")
    Clone(tmp_path / "pull", url, zones).publish()
    assert not (tmp_path / "shared/pull-1/blobs").exists()
    place(tmp_path / "shared", "records", RECORD_NAME).unlink()
    assert Clone(tmp_path / "again", url, zones).find() is not None


def test_what_is_there_is_not_sent_again(tmp_path: Path):
    """An upload that was interrupted goes on: whole blobs stay as they are, a short one is replaced."""
    shared = tmp_path / "shared"
    clone = Clone(tmp_path / "one", str(shared))
    record = clone.publish()
    place(shared, "records", RECORD_NAME).unlink()
    whole, short = place(shared, "blobs", TABLE_NAME), place(shared, "blobs", _plot(record))
    os.utime(whole, ns=(1, 1))
    short.chmod(0o644)
    short.write_bytes(PLOT[:3])
    clone.publish()
    assert (whole.stat().st_mtime_ns, short.read_bytes()) == (1, PLOT)
    assert Clone(tmp_path / "two", str(shared)).find() == record


def test_a_blob_found_damaged_is_sent_again(tmp_path: Path):
    """A reader that ran the task instead mends what it could not use, though size and name are right."""
    shared = tmp_path / "shared"
    Clone(tmp_path / "one", str(shared)).publish()
    blob = place(shared, "blobs", TABLE_NAME)
    blob.chmod(0o644)
    blob.write_bytes(TABLE[::-1])
    reader = Clone(tmp_path / "two", str(shared))
    assert (reader.find(), dict(reader.shared.refused)) == (None, {"damaged blob": 1})
    reader.publish()
    assert blob.read_bytes() == TABLE


def test_a_writer_that_read_nothing_replaces_a_small_blob_that_is_damaged(tmp_path: Path):
    """Else whoever waited for its result could not use it, and would execute the task again."""
    shared = tmp_path / "shared"
    Clone(tmp_path / "one", str(shared)).publish()
    blob = place(shared, "blobs", TABLE_NAME)
    blob.chmod(0o644)
    blob.write_bytes(TABLE[::-1])
    Clone(tmp_path / "two", str(shared)).publish()
    assert blob.read_bytes() == TABLE


@pytest.mark.parametrize("size", [0, SMALL, SMALL + 1])
def test_a_blob_of_an_unknown_size_comes_whole(tmp_path: Path, size: int):
    """Cells are mostly small enough for one request; a large notebook takes more."""
    one, two = (BlobStore(str(tmp_path / name)) for name in ("one", "two"))
    depot = Depot(Remote(str(tmp_path / "shared")), ("main",))
    name = one.put_bytes(b"x" * size).sha256
    depot.send("main", name, one)
    depot.bring(name, None, two)
    assert two.size(name) == size


@pytest.mark.parametrize(("hours", "found"), [(14, 1), (48, 0)])
def test_a_writer_whose_clock_is_a_time_zone_ahead_is_believed(tmp_path: Path, hours: int, found: int):
    """Its builds were else of use to nobody until that time has come; no clock is days ahead."""
    url = str(tmp_path / "shared")
    one = Clone(tmp_path / "one", url)
    record = make_record(blobs=one.blobs)
    started = time.time_ns() + hours * 3_600 * 10**9
    record = msgspec.structs.replace(record, origin=msgspec.structs.replace(record.origin, started=started))
    one.shared.publish(record, one.blobs)
    assert Clone(tmp_path / "two", url).find() == (record if found else None)


def test_each_trace_is_found_and_the_newest_comes_first(tmp_path: Path):
    """Executions with one static key that used different modules are told apart by what is there now."""
    url = str(tmp_path / "shared")
    clone = Clone(tmp_path / "one", url)
    record = clone.publish()
    for number in range(20):
        clone.publish(used=(Ingredient("module", f"other{number}.py", "dd", "trace"),))
    clone.publish()
    names = json.loads(place(tmp_path / "shared", "traces", TRACES_NAME).read_bytes())["traces"]
    assert (len(names), names[0]) == (16, [["module", "helper.py"]])
    assert Clone(tmp_path / "two", url).find() == record


def test_a_signed_record_is_believed(tmp_path: Path):
    """Who has the public key alone can verify."""
    url = str(tmp_path / "shared")
    signer, _ = Signer.new()
    record = Clone(tmp_path / "one", url, signer=signer).publish()
    verifier = Verifier([Signer.new()[0].public_key, signer.public_key])
    assert Clone(tmp_path / "two", url, verifier=verifier).find() == record


def test_a_private_key_survives_as_text():
    """The text that is kept signs what the public key verifies."""
    signer, private_key = Signer.new()
    again = Signer(private_key)
    assert again.public_key == signer.public_key
    assert Verifier([signer.public_key]).accepts(b"record", again.sign(b"record"))
    assert not Verifier([signer.public_key]).accepts(b"other", again.sign(b"record"))


@pytest.mark.parametrize("key", ["", "x", "AAAA", "é" * 44])
def test_a_text_that_is_no_key_is_refused(key: str):
    """Both halves say so with one kind of error."""
    for make in (Signer, lambda text: Verifier([text])):
        with pytest.raises(ValueError, match=r"base64|key|padding|ASCII|32 bytes"):
            make(key)


def test_a_remote_that_refuses_writing_fails_the_upload_only(tmp_path: Path):
    """Publishing says so; what was built stays."""
    (tmp_path / "shared").write_text("a file where the folder should be")
    clone = Clone(tmp_path / "one", str(tmp_path / "shared/below"), limits=Limits(operation=5))
    with pytest.raises(RemoteError):
        clone.shared.publish(make_record(blobs=clone.blobs), clone.blobs)


def _plot(record) -> str:
    return record.logged.artifacts["plots/roc.svg"].sha256
