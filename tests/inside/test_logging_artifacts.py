"""Texts, documents, tables, figures and files become blobs with a name and a media type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbmake_dag.inside.table import table_document

_TABLE = {
    "schema": {
        "fields": [
            {"name": "n", "type": "integer"},
            {"name": "x", "type": "number"},
            {"name": "name", "type": "string"},
            {"name": "ok", "type": "boolean"},
            {"name": "none", "type": "any"},
        ]
    },
    "data": [
        {"n": 1, "x": 0.5, "name": "a", "ok": True, "none": None},
        {"n": 2, "x": None, "name": "ü", "ok": False, "none": None},
    ],
}
_ROWS = [
    {"n": 1, "x": 0.5, "name": "a", "ok": True, "none": None},
    {"n": 2, "x": float("nan"), "name": "ü", "ok": False},
]
_COLUMNS = {"n": [1, 2], "x": [0.5, float("nan")], "name": ["a", "ü"], "ok": [True, False], "none": [None, None]}


def _media_types(project):
    return {name: artifact.media_type for name, artifact in project.folded().logged.artifacts.items()}


def test_texts_and_documents_are_kept(project):
    """Names of any shape that stays below a folder are kept; the type follows the name, else the call."""
    project.python("""
        import nbmake_dag as nbdag
        nbdag.log_text("# Hello", "notes/täglich.md")
        nbdag.log_text("plain", "plain")
        nbdag.log_text("old", "same.txt")
        nbdag.log_text("new", "same.txt")
        nbdag.log_dict({"a": [1, "ü"]}, "a.json")
        nbdag.log_dict({"a": 1}, "config")
    """)
    assert _media_types(project) == {
        "notes/täglich.md": "text/markdown",
        "plain": "text/plain",
        "same.txt": "text/plain",
        "a.json": "application/json",
        "config": "application/json",
    }
    assert project.artifact("notes/täglich.md") == b"# Hello"
    assert project.artifact("same.txt") == b"new"
    assert json.loads(project.artifact("a.json")) == {"a": [1, "ü"]}


def test_files_directories_and_bytes_are_copied_when_logged(project):
    """What happens to the file afterwards does not matter; a directory keeps its structure."""
    project.write("model.bin", "v1")
    project.write("plots/b/c.txt", "c")
    project.write("plots/a.svg", "<svg/>")
    project.python("""
        import pathlib, nbmake_dag as nbdag
        nbdag.log_artifact("model.bin")
        nbdag.log_artifact(pathlib.Path("model.bin"), "models/best")
        pathlib.Path("model.bin").write_text("v2")
        nbdag.log_artifact("plots")
        nbdag.log_artifact("plots/", "all")
        nbdag.log_artifact(b"\\x00\\x01", "raw/data")
    """)
    assert _media_types(project) == {
        "model.bin": "application/octet-stream",
        "models/best/model.bin": "application/octet-stream",
        "plots/a.svg": "image/svg+xml",
        "plots/b/c.txt": "text/plain",
        "all/plots/a.svg": "image/svg+xml",
        "all/plots/b/c.txt": "text/plain",
        "raw/data": "application/octet-stream",
    }
    assert project.artifact("models/best/model.bin") == b"v1"
    assert project.artifact("raw/data") == b"\0\1"


@pytest.mark.parametrize("data", [_ROWS, _COLUMNS], ids=["rows", "columns"])
def test_a_table_of_plain_python_is_a_data_resource(data):
    """Rows and columns of the same table give the same document; missing values are null."""
    assert table_document(data) == _TABLE


def test_a_pandas_frame_is_a_table(project):
    """Numbers of numpy become JSON's, dates ISO text; an index with a name is a column."""
    project.python("""
        import numpy, pandas, nbmake_dag as nbdag
        frame = pandas.DataFrame(
            {"n": numpy.array([1, 2], "int8"), 0: [1.5, numpy.nan], "d": pandas.to_datetime(["2024-01-02", None])},
        )
        nbdag.log_table(frame, "plain.json")
        nbdag.log_table(frame[["n"]].set_index(pandas.Index(["a", "b"], name="key")), "indexed.json")
    """)
    assert json.loads(project.artifact("plain.json")) == {
        "schema": {
            "fields": [
                {"name": "n", "type": "integer"},
                {"name": "0", "type": "number"},
                {"name": "d", "type": "string"},
            ]
        },
        "data": [{"n": 1, "0": 1.5, "d": "2024-01-02T00:00:00"}, {"n": 2, "0": None, "d": None}],
    }
    assert json.loads(project.artifact("indexed.json"))["data"] == [{"key": "a", "n": 1}, {"key": "b", "n": 2}]
    assert _media_types(project)["plain.json"] == "application/vnd.dataresource+json"


def test_values_of_numpy_and_pandas_become_plain(project):
    """Arrays, scalars and missing values of every kind; the document is JSON that a browser reads."""
    project.python("""
        import datetime, decimal, numpy, pandas, nbmake_dag as nbdag
        nbdag.log_dict(
            {
                1: numpy.float32(0.5),
                "array": numpy.array([[1, 2]]),
                "missing": [pandas.NA, pandas.NaT, float("nan"), numpy.float64("inf")],
                "other": (datetime.date(2024, 1, 2), decimal.Decimal("1.5"), numpy.bool_(True)),
            },
            "a.json",
        )
        nbdag.log_table(pandas.DataFrame({"n": pandas.array([1, None], "Int64")}), "table.json")
    """)
    assert json.loads(project.artifact("a.json")) == {
        "1": 0.5,
        "array": [[1, 2]],
        "missing": [None, None, None, None],
        "other": ["2024-01-02", "1.5", True],
    }
    assert json.loads(project.artifact("table.json"))["data"] == [{"n": 1}, {"n": None}]


class _PolarsLike:
    """Has what polars' frames have and `log_table` looks for."""

    columns = ("a", "b")

    def to_dicts(self):
        return [{"a": 1, "b": "x"}]

    def to_dict(self, *, as_series):
        assert not as_series
        return {"a": [1], "b": ["x"]}


def test_a_polars_frame_is_a_table():
    """It is recognised by its methods, so that nothing is imported for it."""
    assert table_document(_PolarsLike())["data"] == [{"a": 1, "b": "x"}]


def test_two_columns_of_one_name_are_refused():
    """A row could hold only one of them."""
    with pytest.raises(ValueError, match="two columns named 1"):
        table_document({1: [1], "1": [2]})


def test_figures_of_matplotlib_and_pil_are_kept_in_the_format_of_their_name(project):
    """The same figure gives the same bytes in another process: no version and no date is in them."""
    code = """
        import matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot as plt
        from PIL import Image
        import nbmake_dag as nbdag
        matplotlib.rcParams["svg.hashsalt"] = "fixed"
        figure, axes = plt.subplots()
        axes.plot([1, 2, 3])
        for name in ("a.png", "deep/a.svg", "a.pdf", "A.PNG"):
            nbdag.log_figure(figure, name)
        nbdag.log_figure(Image.new("RGB", (2, 2), "red"), "image.webp")
    """
    project.python(code)
    first = project.folded().logged.artifacts
    project.python(code)
    assert project.folded().logged.artifacts == first
    assert {name: project.artifact(name)[:4] for name in first} == {
        "a.png": b"\x89PNG",
        "deep/a.svg": b"<?xm",
        "a.pdf": b"%PDF",
        "A.PNG": b"\x89PNG",
        "image.webp": b"RIFF",
    }
    assert b"Software" not in project.artifact("a.png")


class _PlotlyLike:
    """Has what plotly's figures have and `log_figure` looks for."""

    def write_html(self, path, *, include_plotlyjs, div_id):
        assert (include_plotlyjs, div_id) == (True, "figure")
        Path(path).write_text("<html>")

    def write_json(self, path):
        Path(path).write_text("{}")

    def write_image(self, path):
        Path(path).write_text("image")


class _AltairLike:
    """Has what Altair's charts have and `log_figure` looks for."""

    def to_json(self):
        raise AssertionError

    def save(self, path, **options):
        Path(path).write_text(f"<vega> {options}")


def test_figures_of_plotly_and_altair_are_recognised_by_their_methods(project, monkeypatch):
    """A page of plotly loads nothing and holds no random id; one of Altair loads nothing with its converter."""
    from nbmake_dag import log_figure

    for name in ("NBDAG_LOG", "NBDAG_ARTIFACTS"):
        monkeypatch.setenv(name, project.env[name])
    for name in ("p.html", "p.json", "p.png"):
        log_figure(_PlotlyLike(), name)
    log_figure(_AltairLike(), "a.html")
    log_figure(_AltairLike(), "a.svg")
    assert {name: project.artifact(name) for name in project.folded().logged.artifacts} == {
        "p.html": b"<html>",
        "p.json": b"{}",
        "p.png": b"image",
        "a.html": b"<vega> {'format': 'html', 'inline': False}",
        "a.svg": b"<vega> {}",
    }
