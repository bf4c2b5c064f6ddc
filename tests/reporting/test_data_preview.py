"""Files of data as the site shows them: figures of columns, first rows, whatever the file's size."""

from __future__ import annotations

import io
import json
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from nbmake_dag_reporting import data_preview
from nbmake_dag_reporting.data_preview import preview
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site
from tests.reporting.fabricate import Fabric, Made, executed
from tests.reporting.test_site import chunk


def look(data: bytes, name: str) -> Any:
    found = preview(data, name)
    assert found is not None
    return json.loads(json.dumps(found, allow_nan=False))


def test_a_table_has_types_figures_and_first_rows() -> None:
    """Numbers have their range and a histogram, texts how often each is; empty cells are missing."""
    found = look(b'id,score,"a, b"\n1,0.5,x\n2,,y\n3,1.5,x\n', "scores.CSV")
    assert (found["format"], found["rows"]) == ("csv", 3)
    assert found["head"] == [[1, 0.5, "x"], [2, None, "y"], [3, 1.5, "x"]]
    number, score, text = found["columns"]
    assert (number["type"], number["least"], number["most"], number["different"]) == ("integer", 1, 3, 3)
    assert (score["type"], score["mean"], score["missing"], sum(score["bars"])) == ("number", 1.0, 1, 2)
    assert (text["name"], text["type"], text["often"]) == ("a, b", "text", [["x", 2], ["y", 1]])


def test_json_is_a_table_where_it_holds_rows() -> None:
    """Lists of objects, lines of objects and columns of one length are the same table; other values are none."""
    rows = [{"a": 1, "b": "x"}, {"a": 2}]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    columns = {"a": [1, 2], "b": ["x", None]}
    tables = [
        look(json.dumps(rows).encode(), "t.json"),
        look(lines, "t.jsonl"),
        look(json.dumps(columns).encode(), "t.json"),
        look(json.dumps({"schema": {}, "data": rows}).encode(), "t.json"),
    ]
    assert [table["head"] for table in tables] == [[[1, "x"], [2, None]]] * 4
    assert preview(b'{"a": 1}', "t.json") is None
    assert preview(b"[1, 2]", "t.json") is None


def test_what_is_not_what_its_name_says_is_not_looked_into() -> None:
    """Damaged files, other formats and texts in other encodings are no tables, and no error."""
    damaged = ((b"\x93", "x.npy"), (b"\xff\xfe", "x.csv"), (b"", "x.csv"), (b"{", "x.json"), (b"a", "x.txt"))
    assert [preview(data, name) for data, name in damaged] == [None] * 5


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"PK\x03\x04", "x.npz"),
        (b"PK\x03\x04", "x.npy"),
        (b"", "x.npy"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % 10**15, "x.npy"),
        (b"[" * 100_000, "x.json"),
    ],
)
def test_what_its_reader_cannot_read_is_no_error(data: bytes, name: str) -> None:
    """Readers raise errors of many kinds; one of a damaged `.npz` ended the report of all runs."""
    assert preview(data, name) is None


def test_an_archive_that_unpacks_to_much_more_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some kilobytes may hold more zeros than there is memory."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(100_000))
    assert preview(buffer.getvalue(), "x.npz") is not None
    monkeypatch.setattr(data_preview, "_LARGEST_UNPACKED", 700_000)
    assert preview(buffer.getvalue(), "x.npz") is None


@pytest.mark.parametrize("numbers", ["1e200\n2", "1e308\n-1e308\n1.7e308\n1.7e308"])
def test_numbers_too_large_to_be_squared_have_a_range(numbers: str) -> None:
    """They have no mean and no spread; the table is there."""
    [column] = look(f"a\n{numbers}\n".encode(), "x.csv")["columns"]
    assert (column["type"], column["least"] < column["most"]) == ("number", True)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"," * 100_000 + b"\n" + b"1\n" * 50_000, "x.csv"),
        (b"".join(b'{"%d":1}\n' % number for number in range(50_000)), "x.jsonl"),
    ],
)
def test_very_many_columns_take_no_more_than_a_moment(data: bytes, name: str) -> None:
    """Only those are made that are shown: all of them for all rows would never end."""
    assert len(look(data, name)["columns"]) == 100


def test_a_preview_does_not_grow_with_its_file() -> None:
    """Rows are counted; figures are of the first ones, texts are cut, and columns beyond a hundred are counted."""
    wide = ",".join(f"c{column}" for column in range(130)) + "\n" + "x" * 500 + ",1" * 129 + "\n"
    found = look(wide.encode(), "wide.csv")
    assert (len(found["columns"]), found["leftOut"], len(found["head"][0][0])) == (100, 30, 121)
    long = look(b"a\n" + b"1\n" * 60_000, "long.csv")
    assert (long["rows"], long["read"], len(long["head"])) == (60_000, 50_000, 500)


def test_arrays_have_a_shape_and_figures() -> None:
    """One array or several; what is not finite is counted, and nothing is unpickled."""
    numpy = import_module("numpy")
    file = io.BytesIO()
    numpy.savez(file, x=numpy.array([[1.0, 2.0], [float("nan"), 4.0]]), y=numpy.arange(3))
    found = look(file.getvalue(), "a.npz")["arrays"]
    assert (found["x"]["shape"], found["x"]["head"]) == ([2, 2], [[1.0, 2.0], ["NaN", 4.0]])
    assert (found["x"]["column"]["notFinite"], found["x"]["column"]["most"]) == (1, 4.0)
    assert (found["y"]["shape"], found["y"]["column"]["type"]) == ([3], "int64")
    pickled = io.BytesIO()
    numpy.save(pickled, numpy.array([{}], dtype=object))
    assert preview(pickled.getvalue(), "a.npy") is None


def test_parquet_is_read_where_pyarrow_is() -> None:
    """Elsewhere the site names the package."""
    if find_spec("pyarrow") is None:
        assert preview(b"PAR1", "t.parquet") == {"format": "parquet", "needs": "pyarrow"}
        return
    pandas = import_module("pandas")
    file = io.BytesIO()
    pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_parquet(file)
    found = look(file.getvalue(), "t.parquet")
    assert (found["rows"], found["head"], found["columns"][0]["type"]) == (2, [[1, "x"], [2, "y"]], "int64")


@pytest.mark.parametrize("previews", [False, True])
def test_outputs_are_looked_into_only_where_that_is_asked_for(fabric: Fabric, *, previews: bool) -> None:
    """An artefact is published anyway; the rows of an output are not, unless `[report] previews` is true."""
    made = Made(name="a", artifacts={"logged.csv": (b"a\n1\n", "text/csv")}, files={"out.csv": b"b\nsecret-row\n"})
    fabric.run(0, made)
    found = found_in(str(fabric.runs), fabric.record, fabric.blob)
    site = fabric.runs.parent / "site"
    for wanted in (not previews, previews):
        write_site(str(site), found, SiteOptions(executed=executed, previews=wanted))
    [task] = chunk(fabric, "run/run-00000")["tasks"]
    detail = chunk(fabric, f"content/{task['detail']}")
    assert chunk(fabric, f"content/{detail['artifacts'][0]['preview']}")["rows"] == 1
    assert ("data" in detail) == previews
    everything = b"".join(path.read_bytes() for path in site.rglob("*.js"))
    assert (b"secret-row" in everything) == previews


@pytest.fixture
def fabric(tmp_path: Any) -> Fabric:
    return Fabric(tmp_path)
