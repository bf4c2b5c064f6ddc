"""What a hostile or broken writer may leave in a shared cache: refused, counted, and built around."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.signatures import Signer, Verifier
from tests.cache.sharing import (
    OUTPUT,
    RECORD_NAME,
    TABLE,
    TABLE_NAME,
    TRACES_NAME,
    Clone,
    checked,
    place,
)

Poison = Callable[[Path], None]
SIGNER, _ = Signer.new()
STRANGER, _ = Signer.new()
BOMB = pickle.dumps({"__reduce__": os.getcwd}, protocol=4)
DEEP = b"[" * 200_000 + b"]" * 200_000


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def record(data: bytes) -> Poison:
    """Put other bytes where the record is."""
    return lambda shared: overwrite(place(shared, "records", RECORD_NAME), data)


def traces(data: bytes) -> Poison:
    return lambda shared: overwrite(place(shared, "traces", TRACES_NAME), data)


def blob(data: bytes) -> Poison:
    return lambda shared: overwrite(place(shared, "blobs", TABLE_NAME), data)


def member(*path: str | int, value: Any) -> Poison:
    """Set a member of the record, which gets a right checksum and a right signature."""

    def poison(shared: Path) -> None:
        file = place(shared, "records", RECORD_NAME)
        document = json.loads(file.read_bytes())["record"]
        at = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        overwrite(file, signed(checked(document)))

    return poison


def signed(text: bytes, signer: Signer = SIGNER) -> bytes:
    return b'{"format":1,"signature":"' + signer.sign(text).encode() + b'","record":' + text + b"}"


def envelope(change: Callable[[bytes], bytes]) -> Poison:
    """Rewrite the bytes of the record's file."""

    def poison(shared: Path) -> None:
        file = place(shared, "records", RECORD_NAME)
        overwrite(file, change(file.read_bytes()))

    return poison


def output(**changes: Any) -> Poison:
    return member("outputs", value=[described(**changes)])


def described(path: str = OUTPUT, digest: str = "", **file: Any) -> dict[str, Any]:
    xxh3 = digest_bytes(TABLE)
    files = [{"path": path, "xxh3": xxh3, "sha256": TABLE_NAME, "size": len(TABLE), **file}]
    return {"path": path, "digest": digest or xxh3, "files": files}


def instead(kind: str, name: str, make: Callable[[Path], None]) -> Poison:
    """Put something that is no file in the place of one."""

    def poison(shared: Path) -> None:
        file = place(shared, kind, name)
        file.unlink()
        make(file)

    return poison


def gone(kind: str, name: str) -> Poison:
    return lambda shared: place(shared, kind, name).unlink()


def folder_is_a_file(kind: str, name: str) -> Poison:
    def poison(shared: Path) -> None:
        file = place(shared, kind, name)
        file.unlink()
        file.parent.rmdir()
        file.parent.write_text("")

    return poison


def sparse(kind: str, name: str) -> Poison:
    """Make a file of a terabyte that takes no room."""

    def poison(shared: Path) -> None:
        file = place(shared, kind, name)
        file.chmod(0o644)
        os.truncate(file, 1 << 40)

    return poison


def of_traces(*names: Any) -> Poison:
    return traces(json.dumps({"format": 1, "traces": [names]}).encode())


CELLS_NAME = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
SECRET = Path(__file__)

POISONS: dict[str, Poison] = {
    # the record as bytes
    "record: empty": record(b""),
    "record: not JSON": record(b"garbage"),
    "record: pickle": record(BOMB),
    "record: pickle that runs": record(pickle.dumps(_Bomb())),
    "record: invalid UTF-8": record(b'{"format":1,"record":"\xff\xfe"}'),
    "record: deep": record(b'{"format":1,"record":' + DEEP + b"}"),
    "record: all deep": record(DEEP),
    "record: of a terabyte": sparse("records", RECORD_NAME),
    "record: over the limit": record(b" " * ((16 << 20) + 1)),
    "record: cut": envelope(lambda data: data[: len(data) // 2]),
    "record: one letter less": envelope(lambda data: data[:-1]),
    "record: one letter more": envelope(lambda data: data + b"x"),
    "record: two": envelope(lambda data: data + data),
    "record: a flipped bit": envelope(lambda data: data.replace(b'"train"', b'"traio"')),
    "record: another format": envelope(lambda data: data.replace(b'"format":1', b'"format":2', 1)),
    "record: a key more": envelope(lambda data: data.replace(b'{"format":1', b'{"extra":1,"format":1', 1)),
    "record: null": record(b"null"),
    "record: a list": record(b"[]"),
    "record: NaN": record(b'{"format":1,"record":NaN}'),
    "record: no record": record(b'{"format":1,"signature":null}'),
    # the envelope's signature
    "signature: none": envelope(lambda data: b'{"format":1,"record":' + data.partition(b'"record":')[2]),
    "signature: a stranger's": envelope(lambda data: signed(data.partition(b'"record":')[2][:-1], STRANGER)),
    "signature: no base64": envelope(lambda data: data.replace(b'"signature":"', b'"signature":"!')),
    "signature: empty": envelope(
        lambda data: b'{"format":1,"signature":"","record":' + data.partition(b'"record":')[2]
    ),
    "signature: of other bytes": envelope(lambda data: data.replace(b'"auc":0.9', b'"auc":0.8')),
    # members of a record that is signed and has a right checksum
    "record: an unknown member": member("evil", value=1),
    "record: a member's type": member("task", value=7),
    "record: wrong ingredients": member("ingredients", 0, value=["cell", "1", "other"]),
    "record: fewer ingredients": member("ingredients", value=[["cell", "1", "aa"]]),
    "record: another stage": member("ingredients", 0, value=["cell", "1", "aa", "trace"]),
    "record: another key": member("key", value="0" * 32),
    "record: another own key": member("own_key", value="../" * 10 + "00"),
    "record: another static key": member("static_key", value="0" * 32),
    "record: format of the future": member("format", value=99),
    "record: accepted by hand": member("accepted", value=True),
    "record: without its files": member("stored", value=False),
    "record: made tomorrow": member("origin", "started", value=9_000_000_000_000_000_000),
    "record: made before time": member("origin", "started", value=-1),
    "record: endless": member("origin", "duration_s", value=1e300),
    "record: no run": member("origin", "run_id", value="../../x"),
    "record: no trace": member("origin", "trace_id", value="\x1b[31m"),
    "record: no commit": member("origin", "commit", value="$(id)"),
    # outputs
    "output: upward": output(path="../escaped.csv"),
    "output: absolute": output(path="/tmp/escaped.csv"),
    "output: in .git": output(path=".git/hooks/pre-commit"),
    "output: in .nbdag": output(path=".nbdag/cache/x"),
    "output: NUL": output(path="out/a\0b"),
    "output: another one": output(path="src/evil.py"),
    "output: none": member("outputs", value=[]),
    "output: twice": member("outputs", value=[described(), described()]),
    "output: one more": member("outputs", value=[described(), described(path="evil.py")]),
    "output: another file": member("outputs", 0, "files", 0, "path", value="evil.py"),
    "output: no file": member("outputs", 0, "files", value=[]),
    "output: two files": member("outputs", 0, "files", value=[*described()["files"], *described()["files"]]),
    "output: giant": output(size=1 << 50),
    "output: negative": output(size=-1),
    "output: one byte less": output(size=len(TABLE) - 1),
    "output: one byte more": output(size=len(TABLE) + 1),
    "output: huge number": output(size=1 << 70),
    "output: a digest that lies": output(digest="0" * 32, xxh3="0" * 32),
    "output: digests that differ": output(digest="0" * 32),
    "output: no digest": output(digest="x", xxh3="x"),
    "output: a path for a blob": output(sha256="../../../../etc/passwd"),
    "output: a blob in capitals": output(sha256=TABLE_NAME.upper()),
    "output: a blob that nobody has": output(sha256="0" * 64),
    "output: another blob": output(sha256=CELLS_NAME),
    "artefact: upward": member(
        "logged",
        "artifacts",
        value={"../../x.svg": {"sha256": TABLE_NAME, "size": len(TABLE), "media_type": "text/plain"}},
    ),
    "artefact: a path for a blob": member("logged", "artifacts", "plots/roc.svg", "sha256", value="/etc/passwd"),
    "artefact: giant": member("logged", "artifacts", "plots/roc.svg", "size", value=1 << 60),
    "cells: a path for a blob": member("cells", value="../" * 8 + "etc/passwd"),
    "series: a blob that nobody has": member("logged", "series", value="1" * 64),
    # blobs
    "blob: empty": blob(b""),
    "blob: cut": blob(TABLE[:-1]),
    "blob: longer": blob(TABLE + b"x"),
    "blob: of its size": blob(TABLE[::-1]),
    "blob: pickle": blob(pickle.dumps(_Bomb())),
    "blob: of a terabyte": sparse("blobs", TABLE_NAME),
    "blob: gone": gone("blobs", TABLE_NAME),
    "blob: a folder": instead("blobs", TABLE_NAME, Path.mkdir),
    "blob: a link to itself": instead("blobs", TABLE_NAME, lambda path: path.symlink_to(path)),
    "blob: a link to a file": instead("blobs", TABLE_NAME, lambda path: path.symlink_to(SECRET)),
    "blob: a link to zeros": instead("blobs", TABLE_NAME, lambda path: path.symlink_to("/dev/zero")),
    "blob: in a file": folder_is_a_file("blobs", TABLE_NAME),
    "cells: of a terabyte": sparse("blobs", CELLS_NAME),
    # files that are none
    "record: a folder": instead("records", RECORD_NAME, Path.mkdir),
    "record: a link to itself": instead("records", RECORD_NAME, lambda path: path.symlink_to(path)),
    "record: a link to zeros": instead("records", RECORD_NAME, lambda path: path.symlink_to("/dev/zero")),
    "record: a link to a file": instead("records", RECORD_NAME, lambda path: path.symlink_to(SECRET)),
    "record: in a file": folder_is_a_file("records", RECORD_NAME),
    "traces: a folder": instead("traces", TRACES_NAME, Path.mkdir),
    # traces
    "traces: empty": traces(b""),
    "traces: not JSON": traces(b"\0\1"),
    "traces: pickle": traces(BOMB),
    "traces: deep": traces(b'{"format":1,"traces":' + DEEP + b"}"),
    "traces: of a terabyte": sparse("traces", TRACES_NAME),
    "traces: too many": traces(json.dumps({"format": 1, "traces": [[]] * 17}).encode()),
    "traces: too long": of_traces(*[["module", "helper.py"]] * 10_001),
    "traces: a long name": of_traces(["module", "x" * 5_000]),
    "traces: another kind": of_traces(["file", "/etc/passwd"]),
    "traces: a key more": traces(b'{"format":1,"traces":[],"x":1}'),
    "traces: upward": of_traces(["module", "../../../etc/passwd"]),
    "traces: another format": traces(b'{"format":2,"traces":[]}'),
}

HEALED = {
    "empty",
    "cut",
    "pickle",
    "of its size",
    "gone",
    "another key",
    "giant",
    "none",
    "longer",
    "upward",
    "deep",
}
"""Kinds of damage after which a second upload is tried."""


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Describe everything below a folder but the reader's own."""
    found: dict[str, tuple[int, int, int]] = {}
    for path in sorted(folder.rglob("*")):
        if "reader" not in path.relative_to(folder).parts:
            status = path.lstat()
            found[str(path.relative_to(folder))] = status.st_mode, status.st_size, status.st_mtime_ns
    return found


@pytest.mark.parametrize("name", POISONS)
def test_poison_is_refused_counted_and_built_around(tmp_path: Path, name: str):
    """No record comes of it, and nothing is written but blobs that are what they are called.

    Every record is signed by a key that counts where its poison is not the signature.
    """
    shared = tmp_path / "shared"
    verifier = Verifier([SIGNER.public_key])
    Clone(tmp_path / "writer", str(shared), signer=SIGNER).publish()
    POISONS[name](shared)
    before = snapshot(tmp_path)
    reader = Clone(tmp_path / "reader", str(shared), verifier=verifier, signer=SIGNER)
    assert reader.find() is None
    assert snapshot(tmp_path) == before
    assert reader.shared.refused.total() == 1
    assert reader.remote.errors == []
    held = [path for path in (tmp_path / "reader").rglob("*") if path.is_file()]
    assert all(path.parent.parent.name == "blobs" and reader.blobs.is_sound(path.name) for path in held)


@pytest.mark.parametrize("name", [name for name in POISONS if name.split(": ")[1] in HEALED])
def test_a_writer_replaces_what_was_refused(tmp_path: Path, name: str):
    """Whoever ran the task instead leaves a result that the next one takes."""
    shared = tmp_path / "shared"
    verifier = Verifier([SIGNER.public_key])
    record = Clone(tmp_path / "writer", str(shared), signer=SIGNER).publish()
    POISONS[name](shared)
    reader = Clone(tmp_path / "reader", str(shared), verifier=verifier, signer=SIGNER)
    reader.find()
    reader.publish()
    assert Clone(tmp_path / "next", str(shared), verifier=verifier).find() == record


def test_there_are_poisons_enough():
    """At least sixty, each of its own kind."""
    assert len(POISONS) >= 60
