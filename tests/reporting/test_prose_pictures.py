"""Pictures that the prose of a notebook shows are on its site: attached ones, and files of the run's commit."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag_reporting.html import notebook_page
from nbmake_dag_reporting.notebook_view import notebook_view
from nbmake_dag_reporting.prose_pictures import named_in
from nbmake_dag_reporting.scrub import scrubber
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets
from nbmake_dag_reporting.site_chunks import SiteFiles
from tests.reporting.fabricate import code, markdown, notebook

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels of " + b"pipelines"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><!-- /home/ada/digits/a.svg --></svg>"


def view(
    root: Path,
    *cells: Mapping[str, Any],
    commit: Mapping[str, bytes] | None = None,
    secrets: Secrets | None = None,
) -> list[dict[str, str]]:
    """Publish a notebook in the folder `notebooks`, and give the pictures of each of its cells."""

    def committed(paths: Collection[str]) -> dict[str, bytes]:
        return {path: data for path, data in (commit or {}).items() if path in paths}

    files = SiteFiles(str(root), secrets or Secrets({}))
    scrub = scrubber("/home/ada/digits")
    shown = notebook_view(notebook(*cells), files, scrub, "here", (), "notebooks", committed)
    return [cell.get("p", {}) for cell in shown]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("![](a.png)", "notebooks/a.png"),
        ("![a *plot*](../images/a.PNG 'it')", "images/a.PNG"),
        ("![](<../my images/a.jpg>)", "my images/a.jpg"),
        ("![](my%20images/a.webp)", "notebooks/my images/a.webp"),
        ("![one][it]\n\n[it]: ./a.gif", "notebooks/a.gif"),
        ("| a |\n|---|\n| <img width=200 src='b/../a.svg'/> |", "notebooks/a.svg"),
        ("[![](a.png)](https://example.org)", "notebooks/a.png"),
    ],
)
def test_a_picture_is_found_however_it_is_written(text: str, path: str) -> None:
    """As markdown writes it, as a reference, and as HTML; relative to the notebook."""
    assert list(named_in(notebook(markdown(text)), "notebooks").values()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "![](https://example.org/a.png)",
        "![](/etc/a.png)",
        "![](file:///etc/a.png)",
        "![](C:\\a.png)",
        "![](data:image/png;base64,aaaa.png)",
        "![](notes.txt)",
        "a.png",
    ],
)
def test_what_is_no_picture_of_the_repository_is_not_asked_for(text: str) -> None:
    """Other hosts, absolute paths, other kinds of files."""
    assert named_in(notebook(markdown(text), code("![](a.png)")), "notebooks") == {}


def test_files_and_attachments_are_published(tmp_path: Path) -> None:
    """Those with pixels as files under their digest; drawings within the notebook, without paths."""
    attached = {"plot.png": {"image/png": [base64.b64encode(PNG).decode()]}, "a.txt": {"text/plain": "aGk="}}
    cell = {**markdown("![](attachment:plot.png) ![](../b.png) ![](c.svg) ![](no.png)"), "attachments": attached}
    [shown, other] = view(tmp_path, cell, markdown("none"), commit={"b.png": PNG, "notebooks/c.svg": SVG})
    assert list(shown) == ["attachment:plot.png", "../b.png", "c.svg"]
    assert other == {}
    assert shown["attachment:plot.png"] == shown["../b.png"]
    assert (tmp_path / shown["../b.png"]).read_bytes() == PNG
    kind, drawing = shown["c.svg"].split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(drawing) == SVG.replace(b"/home/ada/digits/", b"")


@pytest.mark.parametrize(
    "data", [b"<html><script>alert(1)</script>", b"SECRET=1", b"<svg " + b"x" * (300 << 10), b"", b"RIFFx"]
)
def test_only_a_picture_is_published(tmp_path: Path, data: bytes) -> None:
    """What is called one and is a page, a text, or a drawing without bound, is named only."""
    assert view(tmp_path, markdown("![](a.png) ![](b.svg)"), commit={"notebooks/a.png": data}) == [{}]
    assert not (tmp_path / "blobs").exists()


def test_a_secret_in_a_picture_is_not_published(tmp_path: Path) -> None:
    """As in everything else that a site shows."""
    secrets = Secrets({"TOKEN": "pipelines"})
    for name, data in {"a.png": PNG, "b.svg": b"<svg><text>pipelines</text></svg>"}.items():
        with pytest.raises(SecretFoundError):
            view(tmp_path, markdown(f"![]({name})"), commit={f"notebooks/{name}": data}, secrets=secrets)
    assert not (tmp_path / "blobs").exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "before", [b"\n" * 100_000, b"<!---->" * 30_000, b"<!-- " * 30_000, b"<?xml " * 30_000, b"<!DOCTYPE " * 20_000]
)
def test_what_nearly_is_a_drawing_is_read_in_linear_time(tmp_path: Path, before: bytes) -> None:
    """What may stand before a drawing, thousands of times: a search that tries every division would never end."""
    assert view(tmp_path, markdown("![](a.svg)"), commit={"notebooks/a.svg": before}) == [{}]


def test_a_drawing_may_have_a_head(tmp_path: Path) -> None:
    """A declaration, comments and a type, as editors write them; not one with entities, nor a page."""
    head = b'<?xml version="1.0"?>\n<!-- by hand -->\n<!-- a > b -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG">\n'
    commit = {
        "notebooks/a.svg": head + SVG,
        "notebooks/b.svg": b'<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG,
        "notebooks/c.svg": head + b"<html>",
    }
    [shown] = view(tmp_path, markdown("![](a.svg) ![](b.svg) ![](c.svg)"), commit=commit)
    assert list(shown) == ["a.svg"]


@pytest.mark.parametrize(
    "wrong", [None, "text", 1, [], [1], {"a.png": None}, {"a.png": "iVBO"}, {"a.png": [["x"]]}]
)
def test_a_malformed_attachment_is_left_out(tmp_path: Path, wrong: object) -> None:
    """It costs itself alone, not its cell, and not the run."""
    png = {"image/png": base64.b64encode(PNG).decode()}
    attached = {**wrong, "b.png": png} if isinstance(wrong, dict) else wrong
    [shown] = view(tmp_path, {**markdown("![](attachment:b.png)"), "attachments": attached})
    assert list(shown) == (["attachment:b.png"] if isinstance(wrong, dict) else [])


def _showing(media_type: str, value: Any) -> dict[str, Any]:
    return notebook(code("x", {"output_type": "display_data", "metadata": {}, "data": {media_type: value}}))


JUNK: list[Any] = [None, True, 1, "text", "é", [], [None], [["a"]], {}, {"a": None}]
PLACES: dict[str, Callable[[Any], Any]] = {
    "document": lambda junk: junk,
    "cells": lambda junk: {"cells": junk},
    "metadata": lambda junk: notebook({**code("x"), "metadata": junk}),
    "tags": lambda junk: notebook({**code("x"), "metadata": {"tags": junk}}),
    "type": lambda junk: notebook({**code("x"), "cell_type": junk}),
    "source": lambda junk: notebook(markdown(junk)),
    "count": lambda junk: notebook({**code("x"), "execution_count": junk}),
    "attachments": lambda junk: notebook({**markdown("x"), "attachments": {"a.png": junk}}),
    "attached": lambda junk: notebook({**markdown("x"), "attachments": {"a.png": {"image/png": junk}}}),
    "outputs": lambda junk: notebook({**code("x"), "outputs": junk}),
    "output": lambda junk: notebook(code("x", junk)),
    "stream": lambda junk: notebook(code("x", {"output_type": "stream", "name": junk, "text": junk})),
    "error": lambda junk: notebook(code("x", {"output_type": "error", "ename": junk, "traceback": junk})),
    "data": lambda junk: notebook(code("x", {"output_type": "display_data", "data": junk})),
    **{
        media_type: partial(_showing, media_type)
        for media_type in ("image/png", "image/svg+xml", "text/html", "application/vnd.plotly.v1+json")
    },
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_a_notebook_that_is_none_is_shown_as_far_as_it_is_one(tmp_path: Path, place: str, junk: Any) -> None:
    """What is not as nbformat says costs itself alone: one such cell took its whole run off the site."""
    document = PLACES[place](junk)
    files = SiteFiles(str(tmp_path), Secrets({}))
    named = named_in(document, "")
    shown = notebook_view(document, files, scrubber(None), "here", (), "", lambda _: {})
    page = notebook_page(document, "t", lambda text: text)
    assert (named, isinstance(json.dumps(shown), str)) == ({}, True)
    assert "</html>" in page


def test_what_is_no_cell_keeps_its_place(tmp_path: Path) -> None:
    """Cells are named by their places in the source."""
    shown = notebook_view(notebook(None, code("x")), SiteFiles(str(tmp_path), Secrets({})), scrubber(None), "here")  # type: ignore[arg-type]
    assert [(cell["i"], cell["t"]) for cell in shown] == [(0, "raw"), (1, "code")]


def test_hostile_prose_is_read_in_linear_time() -> None:
    """What nearly names a picture, a million times, takes no more than a moment."""
    for text in ("(<a" * 300_000, "src=" * 300_000, "\n" * 900_000 + "[", "(" + " " * 900_000, "[a" * 400_000):
        begun = time.process_time()
        assert named_in(notebook(markdown(text)), "") == {}
        assert time.process_time() - begun < 5
