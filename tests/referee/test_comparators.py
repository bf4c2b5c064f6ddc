"""Comparators: what is the same, what is within tolerance, and where the first difference is."""

from __future__ import annotations

import io
import json
import math
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nbmake_dag.core.model import CompareRule
from nbmake_dag.referee.cell_outputs import first_difference
from nbmake_dag.referee.comparators import Comparison, Differs, Same, Within, compare
from nbmake_dag.referee.readers import MissingLibraryError
from nbmake_dag_reporting.cell_ref import CellRef

NUMERIC = CompareRule(how="numeric", rtol=1e-3)
EXACT = CompareRule(how="numeric")
TEXT = CompareRule(how="text")
TABLE = b"name,x,seconds\na,1.0,3\nb,2.0,4\n"


def array(values: object, **named: object) -> bytes:
    file = io.BytesIO()
    if named:
        arrays: Any = {name: np.asarray(value) for name, value in named.items()}
        np.savez(file, **arrays)
    else:
        np.save(file, np.asarray(values))
    return file.getvalue()


def picture(colour: tuple[int, int, int], form: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.new("RGB", (4, 3), (10, 20, 30))
    image.putpixel((2, 1), colour)
    image.save(file, form, **options)
    return file.getvalue()


def deep(value: int) -> bytes:
    pixels = np.full((3, 4), 50_000, dtype=np.uint16)
    pixels[1, 2] = value
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def animation(value: int) -> bytes:
    file = io.BytesIO()
    first, second = (Image.new("L", (4, 3), colour) for colour in (0, value))
    first.save(file, "gif", save_all=True, append_images=[second])
    return file.getvalue()


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray([{}], dtype=object), allow_pickle=True)
    return file.getvalue()


CASES: dict[str, tuple[bytes, bytes, str, CompareRule, Comparison]] = {
    "bytes of a table": (
        TABLE,
        TABLE.replace(b"2.0", b"2.5"),
        "r.csv",
        CompareRule(),
        Differs(where="row 2, column `x`: 2.0 → 2.5"),
    ),
    "bytes of a text": (b"a\nb\n", b"a\nc\n", "r.txt", CompareRule(), Differs(where="line 2: b → c")),
    "bytes that no format explains": (b"a\n", b"a\r\n", "r.txt", CompareRule(), Differs(where="byte 2 of 2")),
    "lines that end otherwise": (b"a\nb\n", b"a\r\nb", "r.txt", CompareRule(how="text"), Same()),
    "a line more": (b"a\n", b"a\nb\n", "r.txt", CompareRule(how="text"), Differs(where="line 2: nothing → b")),
    "numbers within tolerance": (
        TABLE,
        TABLE.replace(b"2.0", b"2.001"),
        "r.csv",
        NUMERIC,
        Within(most="by 0.001 at most, row 2, column `x`"),
    ),
    "numbers beyond it": (
        TABLE,
        TABLE.replace(b"2.0", b"2.1"),
        "r.csv",
        NUMERIC,
        Differs(where="row 2, column `x`: 2.0 → 2.1"),
    ),
    "numbers that are written otherwise": (TABLE, TABLE.replace(b"1.0", b"1"), "r.csv", EXACT, Same()),
    "a column that may differ": (
        TABLE,
        TABLE.replace(b",4", b",9"),
        "r.csv",
        CompareRule(how="numeric", ignored=("seconds",)),
        Same(),
    ),
    "a row more": (TABLE, TABLE + b"c,3,5\n", "r.csv", EXACT, Differs(where="it has 3 rows, and had 2")),
    "another column": (
        b"a,b\n1,2\n",
        b"a,c\n1,2\n",
        "r.csv",
        EXACT,
        Differs(where="the columns are a, c, and were a, b"),
    ),
    "members of JSON": (
        json.dumps({"a": [1, {"b": 0.5}]}).encode(),
        json.dumps({"a": [1, {"b": 0.6}]}).encode(),
        "r.json",
        NUMERIC,
        Differs(where="a[1].b: 0.5 → 0.6"),
    ),
    "the order of members": (b'{"a": 1, "b": NaN}', b'{"b": NaN, "a": 1}', "r.json", EXACT, Same()),
    "true is no number": (b"[true]", b"[1]", "r.json", NUMERIC, Differs(where="[0]: True → 1")),
    "JSON that is none": (b"[1]", b"[1", "r.json", EXACT, Differs(where="cannot be read")),
    "lines of JSON": (b'{"a": 1}\n', b'{"a": 2}\n', "r.jsonl", EXACT, Differs(where="[0].a: 1 → 2")),
    "numbers in a text": (
        b"loss 0.50 after 3 epochs\n",
        b"loss 0.5001 after 3 epochs\n",
        "log.txt",
        NUMERIC,
        Within(most="by 0.0001 at most, line 1[1]"),
    ),
    "words in a text": (b"loss 0.5\n", b"gain 0.5\n", "log.txt", NUMERIC, Differs(where="line 1[0]: loss → gain")),
    "an array": (
        array([[1.0, 2.0]]),
        array([[1.0, 2.5]]),
        "a.npy",
        NUMERIC,
        Differs(where="values[0][1]: 2.0 → 2.5"),
    ),
    "arrays of a file": (
        array(0, a=[1.0], b=[2.0]),
        array(0, a=[1.0], b=[2.001]),
        "a.npz",
        NUMERIC,
        Within(most="by 0.001 at most, b.values[0]"),
    ),
    "an array of another type": (
        array([1]),
        array([1.0]),
        "a.npy",
        EXACT,
        Differs(where="dtype: int64 → float64"),
    ),
    "pixels": (
        picture((10, 20, 30)),
        picture((10, 29, 30)),
        "p.png",
        CompareRule(how="image", atol=3),
        Differs(where="by 9 of 255 at most, in the pixels from (2, 1) to (2, 1)"),
    ),
    "pixels within tolerance": (
        picture((10, 20, 30)),
        picture((10, 22, 30)),
        "p.png",
        CompareRule(how="image", atol=3),
        Within(most="by 2 of 255 at most, in the pixels from (2, 1) to (2, 1)"),
    ),
    "a picture that is packed otherwise": (
        picture((10, 20, 30)),
        picture((10, 20, 30), compress_level=0),
        "p.png",
        CompareRule(how="image"),
        Same(),
    ),
    "infinity is near to nothing": (
        b"x\ninf\n",
        b"x\n5\n",
        "r.csv",
        NUMERIC,
        Differs(where="row 1, column `x`: inf → 5"),
    ),
    "nothing is near to infinity": (
        b"x\n5\n",
        b"x\n-inf\n",
        "r.csv",
        CompareRule(how="numeric", atol=1e300),
        Differs(where="row 1, column `x`: 5 → -inf"),
    ),
    "what is no number and infinities are like themselves": (
        b"x,y,z\nNaN,inf,1\n",
        b"x,y,z\nnan,Infinity,1.0\n",
        "r.csv",
        EXACT,
        Same(),
    ),
    "a number in the place of none": (
        b"x\nnan\n",
        b"x\n1\n",
        "r.csv",
        NUMERIC,
        Differs(where="row 1, column `x`: nan → 1"),
    ),
    "whole numbers for which a float has no room": (
        b'{"id": 9007199254740992}',
        b'{"id": 9007199254740993}',
        "r.json",
        EXACT,
        Differs(where="id: 9007199254740992 → 9007199254740993"),
    ),
    "numbers beyond all floats": (b"x\n1e999\n", b"x\n2e999\n", "r.csv", NUMERIC, Differs(where="1e999 → 2e999")),
    "a number is no text": (b'["1"]', b"[1]", "r.json", EXACT, Differs(where="[0]: 1 → 1")),
    "columns in another order": (
        b"a,b\n1,2\n",
        b"b,a\n2,1\n",
        "r.csv",
        EXACT,
        Differs(where="the columns are b, a, and were a, b"),
    ),
    "columns of one name": (
        b"a,a\n1,2\n",
        b"a,a\n1,3\n",
        "r.csv",
        EXACT,
        Differs(where="row 1, column `a#2`: 2 → 3"),
    ),
    "a table whose lines end otherwise": (TABLE, TABLE.replace(b"\n", b"\r\n"), "r.csv", EXACT, Same()),
    "a long field": (
        b"x\n" + 200_000 * b"a" + b"\n",
        b"x\n" + 200_000 * b"a" + b"b\n",
        "r.csv",
        EXACT,
        Differs(where="row 1, column `x`: aaa"),
    ),
    "two texts in Latin-1": (
        "\xe9\n".encode("latin-1"),
        "\xe8\n".encode("latin-1"),
        "r.txt",
        TEXT,
        Differs(where="line 1: "),
    ),
    "two tables in Latin-1": (
        "\xe9\n1\n".encode("latin-1"),
        "\xe8\n1\n".encode("latin-1"),
        "r.csv",
        EXACT,
        Differs(where="the columns are "),
    ),
    "a page break is no end of a line": (b"a\x0cb\n", b"a\nb\n", "r.txt", TEXT, Differs(where="line 1: ")),
    "a file that was empty": (b"", b"a\n", "r.txt", CompareRule(), Differs(where="line 1: nothing → a")),
    "a file that is empty": (b"x\n1\n", b"", "r.csv", EXACT, Differs(where="the columns are nothing, and were x")),
    "an empty file of an unknown format": (
        b"",
        b"\0",
        "r.bin",
        CompareRule(),
        Differs(where="it has 1 bytes, and had 0"),
    ),
    "an array that is none": (array([1.0]), b"PK", "a.npy", EXACT, Differs(where="it cannot be read: ")),
    "an archive of arrays that is none": (
        array(0, a=[1.0]),
        b"PK\3\4",
        "a.npz",
        EXACT,
        Differs(where="it cannot be read: "),
    ),
    "an array of objects": (array([1.0]), pickled(), "a.npy", EXACT, Differs(where="it cannot be read: ")),
    "no number in an array": (
        array([math.nan, 1.0]),
        array([math.nan, 1.0005]),
        "a.npy",
        NUMERIC,
        Within(most="by 0.0005 at most, values[1]"),
    ),
    "complex numbers": (
        array([1 + 1j]),
        array([1 + 1.0005j]),
        "a.npy",
        NUMERIC,
        Within(most="by 0.0005 at most, values[1]"),
    ),
    "JSON that is deep": (
        b"[" * 5000 + b"]" * 5000,
        b"[" * 5001 + b"]" * 5001,
        "r.json",
        EXACT,
        Differs(where="cannot be read: "),
    ),
    "a picture that is none": (
        picture((1, 1, 1)),
        b"no picture",
        "p.png",
        CompareRule(how="image"),
        Differs(where="it cannot be read as a picture: "),
    ),
    "a picture that is cut off": (
        picture((1, 1, 1)),
        picture((2, 2, 2))[:-30],
        "p.png",
        CompareRule(how="image"),
        Differs(where="it cannot be read as a picture: "),
    ),
    "pixels of 16 bits": (
        deep(40_000),
        deep(40_009),
        "p.png",
        CompareRule(how="image", atol=3),
        Differs(where="by 9 at most, in the pixels from (2, 1) to (2, 1)"),
    ),
    "pixels of 16 bits within tolerance": (
        deep(40_000),
        deep(40_002),
        "p.png",
        CompareRule(how="image", atol=3),
        Within(most="by 2 at most, in the pixels from (2, 1) to (2, 1)"),
    ),
    "a frame of an animation": (
        animation(5),
        animation(6),
        "p.gif",
        CompareRule(how="image"),
        Differs(where=", of frame 2"),
    ),
    "bytes of a picture": (
        picture((10, 20, 30)),
        picture((99, 20, 30)),
        "p.png",
        CompareRule(),
        Differs(where="by 89 of 255 at most, in the pixels from (2, 1) to (2, 1)"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_files_are_compared_as_their_rule_says(case: str) -> None:
    """The first difference is named where it is."""
    before, after, path, rule, expected = CASES[case]
    found = compare(before, after, path, rule)
    if isinstance(expected, Differs) and isinstance(found, Differs):
        assert expected.where in found.where
    else:
        assert found == expected
    assert compare(before, before, path, rule) == Same()


def test_parquet_files_are_compared_by_their_values() -> None:
    """However they are packed."""
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

    def written(value: float, compression: str) -> bytes:
        file = io.BytesIO()
        parquet.write_table(pa.table({"name": ["a", "b"], "x": [1.0, value]}), file, compression=compression)
        return file.getvalue()

    assert compare(written(2, "snappy"), written(2, "none"), "t.parquet", EXACT) == Same()
    expected = Differs(where="row 2, column `x`: 2.0 → 3.0")
    assert compare(written(2, "none"), written(3, "none"), "t.parquet", CompareRule()) == expected


def shown(*texts: str) -> bytes:
    cells = [{"outputs": [{"output_type": "stream", "name": "stdout", "text": text}]} for text in texts]
    return json.dumps(cells).encode()


def test_what_cells_show_differs_only_by_more_than_noise() -> None:
    """Times, durations and addresses mean nothing; the first cell that differs has its number in the source."""
    before = shown("made at 2026-11-30 12:00:00 in 3.2 s", "<object at 0x7f0011223344>", "accuracy 0.9\n")
    noise = shown("made at 2026-12-01 13:30:00 in 4 s", "<object at 0x7fffffffffff>", "accuracy 0.9\n")
    cells = (CellRef(0), CellRef(2), CellRef(3))
    assert first_difference(before, noise, cells) == ""
    after = shown("made at 2026-11-30 12:00:00 in 3.2 s", "<object at 0x7f0011223344>", "accuracy 0.8\n")
    assert first_difference(before, after, cells) == "cell 4: its stdout: accuracy 0.9 → accuracy 0.8"


@pytest.mark.parametrize(
    ("path", "library", "rule"),
    [("t.parquet", "pyarrow", EXACT), ("a.npy", "numpy", EXACT), ("p.png", "PIL", CompareRule(how="image"))],
)
def test_a_library_that_is_not_there_is_named(
    path: str, library: str, rule: CompareRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only bytes count, nothing is needed."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=r"the extra `compare`"):
        compare(b"a", b"b", path, rule)
    assert compare(b"a", b"b", path, CompareRule()) == Differs(where="byte 1 of 1")


def test_times_to_the_nanosecond_are_compared_without_a_type_for_them() -> None:
    """So are columns that have one name."""
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

    def written(moment: int, other: int) -> bytes:
        file = io.BytesIO()
        times = pa.array([moment], pa.timestamp("ns"))
        parquet.write_table(pa.Table.from_arrays([times, pa.array([1]), pa.array([other])], ["t", "x", "x"]), file)
        return file.getvalue()

    found = compare(written(1, 1), written(2, 1), "t.parquet", NUMERIC)
    assert isinstance(found, Differs)
    assert found.where.startswith("row 1, column `t`: 1970-01-01 00:00:00.000000001 → ")
    found = compare(written(1, 1), written(1, 2), "t.parquet", EXACT)
    assert found == Differs(where="row 1, column `x#3`: 1 → 2")
