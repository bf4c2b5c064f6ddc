"""Records are found by own key, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nbmake_dag_cache import records
from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.key import Ingredient, Key
from nbmake_dag_cache.record import (
    DamagedRecordError,
    OutputFile,
    Record,
    RecordTooLargeError,
    decode_record,
    encode_record,
)
from nbmake_dag_cache.records import RecordStore

MakeRecord = Callable[..., Record]


def path_of(root: Path, record: Record) -> Path:
    return root / "records" / record.own_key[:2] / record.own_key / f"{record.key}.json"


def files_in(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_candidates_are_the_records_of_an_own_key_newest_first(tmp_path: Path, make_record: MakeRecord):
    """Each trace is one record; other tasks' records do not appear."""
    store = RecordStore(str(tmp_path))
    old, new = make_record(traced="1", started=1), make_record(traced="2", started=2)
    for record in (new, old, make_record("other")):
        store.publish(record)
    assert store.candidates(old.own_key) == (new, old)
    assert store.candidates(Key("0" * 32)) == ()


def test_a_record_is_found_by_its_key_and_by_a_prefix(tmp_path: Path, make_record: MakeRecord):
    """get, find and iteration give what was published."""
    store = RecordStore(str(tmp_path))
    records = sorted((make_record(name) for name in "abcdefgh"), key=lambda record: record.key)
    for record in records:
        store.publish(record)
    first = records[0]
    assert store.get(first.own_key, first.key) == first
    assert store.get(first.own_key, records[1].key) is None
    assert store.find(first.key) == (first,)
    assert store.find("") == tuple(records)
    assert store.find("x") == ()
    assert sorted(store, key=lambda record: record.key) == records


def test_a_removed_record_leaves_no_folder(tmp_path: Path, make_record: MakeRecord):
    """Removing takes the folder of an own key with its last record, and may be repeated."""
    store = RecordStore(str(tmp_path))
    one, two = make_record(traced="1"), make_record(traced="2")
    store.publish(one)
    store.publish(two)
    store.remove(one.own_key, one.key)
    assert store.candidates(one.own_key) == (two,)
    store.remove(two.own_key, two.key)
    store.remove(two.own_key, two.key)
    assert not path_of(tmp_path, two).parent.exists()


def test_a_record_published_again_is_replaced(tmp_path: Path, make_record: MakeRecord):
    """The last execution with a key is the one that counts."""
    store = RecordStore(str(tmp_path))
    store.publish(make_record(started=1))
    again = make_record(started=2)
    store.publish(again)
    assert store.candidates(again.own_key) == (again,)
    assert files_in(tmp_path) == [path_of(tmp_path, again)]


def test_a_record_that_could_not_be_read_back_is_refused(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
):
    """Of two records at the bound of the reader the one with a byte more is not published."""
    record = make_record(files=[("out.csv", "1" * 64, 3)])
    store = RecordStore(str(tmp_path))
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", len(encode_record(record)) - 1)
    with pytest.raises(RecordTooLargeError):
        store.publish(record)
    assert (files_in(tmp_path), store.published) == ([], [])
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", len(encode_record(record)))
    store.publish(record)
    assert store.candidates(record.own_key) == (record,)


def test_every_damage_of_a_record_is_found(tmp_path: Path, make_record: MakeRecord):
    """Each truncation and each flipped bit makes the record absent; its file is removed and listed once."""
    record = make_record(traced="1", files=[("out.csv", "1" * 64, 3)], artifacts=["2" * 64])
    path, data = path_of(tmp_path, record), encode_record(record)
    path.parent.mkdir(parents=True)
    damaged = [data[:length] for length in range(len(data))]
    damaged += [
        data[:position] + bytes([data[position] ^ (1 << position % 8)]) + data[position + 1 :]
        for position in range(len(data))
    ]
    for wrong in damaged:
        path.write_bytes(wrong)
        store = RecordStore(str(tmp_path))
        assert store.candidates(record.own_key) == ()
        assert store.candidates(record.own_key) == ()
        assert store.damaged == [str(path)]
    assert files_in(tmp_path) == []


def test_each_bit_of_a_record_is_under_its_checksum(make_record: MakeRecord):
    """decode_record accepts no neighbour of a record at one bit's distance."""
    data = encode_record(make_record(files=[("out.csv", "1" * 64, 3)]))
    for position in range(len(data)):
        for bit in range(8):
            wrong = data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]
            with pytest.raises(DamagedRecordError):
                decode_record(wrong)


def test_a_record_under_another_name_is_no_record(tmp_path: Path, make_record: MakeRecord):
    """Swapped files are damage: both names must agree with the content."""
    one, two, other = make_record(traced="1"), make_record(traced="2"), make_record("other")
    store = RecordStore(str(tmp_path))
    store.publish(one)
    os.rename(path_of(tmp_path, one), path_of(tmp_path, two))
    assert store.candidates(one.own_key) == ()
    store.publish(one)
    path_of(tmp_path, other).parent.mkdir(parents=True)
    os.rename(path_of(tmp_path, one), path_of(tmp_path, other).with_name(f"{one.key}.json"))
    assert store.candidates(other.own_key) == ()
    assert len(store.damaged) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "",
        ".",
        "./a",
        "a//b",
        "a/",
        ".git/hooks/x",
        ".nbdag/x",
        "a\0b",
    ],
)
def test_a_record_cannot_name_a_file_outside_the_project(make_record: MakeRecord, path: str):
    """A hostile record with a right checksum is refused before anything is written."""
    with pytest.raises(DamagedRecordError):
        decode_record(encode_record(make_record(files=[(path, "1" * 64, 3)])))


@pytest.mark.parametrize(
    "path",
    ["/", "/etc/passwd", "a/../../outside", "a/..", "..", ".", "./a", "a//b", ".git/config", "../.git/x", "a\0b"],
)
def test_a_record_cannot_name_an_input_that_nobody_can_declare(make_record: MakeRecord, path: str):
    """A replay puts the inputs of a record into a copy of the project."""
    record = make_record()
    read = Ingredient(kind="input", name="x", value="1" * 32, path=path)
    kept = OutputFile(path=path, xxh3="1" * 32, sha256="1" * 64, size=3)
    for wrong in (
        msgspec.structs.replace(record, ingredients=(*record.ingredients, read)),
        msgspec.structs.replace(record, inputs=(kept,)),
    ):
        with pytest.raises(DamagedRecordError, match="an input where none can be"):
            decode_record(encode_record(wrong))


@pytest.mark.parametrize("path", ["a", "a/", "../a", "../../a/b/", "./", "../", "..a", "https://x/../a//b?c"])
def test_a_record_can_name_any_input_that_can_be_declared(make_record: MakeRecord, path: str):
    """Also beside and above the project, a folder, and the URL of a remote file."""
    read = Ingredient(kind="input", name="x", value="1" * 32, path=path)
    record = msgspec.structs.replace(make_record(), ingredients=(read,))
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("declared", ["other.csv", "folder/", "out"])
def test_a_record_cannot_name_a_file_outside_its_output(make_record: MakeRecord, declared: str):
    """A file is the declared output itself, or lies below a declared directory."""
    (output,) = make_record(files=[("out.csv", "1" * 64, 3)]).outputs
    wrong = msgspec.structs.replace(make_record(), outputs=(msgspec.structs.replace(output, path=declared),))
    with pytest.raises(DamagedRecordError, match=r"out\.csv"):
        decode_record(encode_record(wrong))


def test_a_record_that_nests_without_end_is_damaged():
    """Depth is refused as damage, not met with a recursion error."""
    body = b',"logged":{"params":{"deep":' + b"[" * 100_000
    with pytest.raises(DamagedRecordError, match="recursion"):
        decode_record(b'{"checksum":"' + digest_bytes(body).encode() + b'"' + body)


def test_keys_that_are_no_keys_reach_no_file(tmp_path: Path, make_record: MakeRecord):
    """A key from a foreign run record cannot walk out of the folder, and nothing is removed for it."""
    (tmp_path / "victim.json").write_text("{}")
    store = RecordStore(str(tmp_path / "cache"))
    store.publish(make_record())
    assert store.get(Key(".."), Key("victim")) is None
    assert (tmp_path / "victim.json").exists()


PUBLISH = """
import sys
import msgspec
from nbmake_dag_cache.record import decode_record
from nbmake_dag_cache.records import RecordStore

root, data = sys.argv[1:]
record = decode_record(data.encode())
store = RecordStore(root)
for number in range(100):
    origin = msgspec.structs.replace(record.origin, started=number)
    store.publish(msgspec.structs.replace(record, origin=origin))
    found = store.candidates(record.own_key)
    assert not store.damaged
    if number % 10 == 0:
        store.remove(record.own_key, record.key)
"""


@pytest.mark.fault
def test_eight_processes_publish_and_remove_the_same_record(tmp_path: Path, make_record: MakeRecord):
    """Nobody fails and nobody ever reads half a record, though the folder comes and goes."""
    record = make_record()
    command = [sys.executable, "-c", PUBLISH, str(tmp_path), encode_record(record).decode()]
    workers = [subprocess.Popen(command) for _ in range(8)]
    assert [worker.wait() for worker in workers] == [0] * 8
    assert files_in(tmp_path) in ([], [path_of(tmp_path, record)])
