"""The pictures that the prose of a notebook shows: attached to its cells, or files of the repository.

What a text names may be hostile: only pictures are published, each as a file that is not a page.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

from nbmake_dag_reporting.notebook import cells_of, joined, mapping
from nbmake_dag_reporting.scrub import Scrub
from nbmake_dag_reporting.site_chunks import SiteFiles

Committed: TypeAlias = Callable[[Collection[str]], Mapping[str, bytes]]
"""Gives files as the commit of a run has them, by paths relative to its pipeline file, without what is missing."""

RASTER = {
    "image/png": ("png", rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": ("jpg", rb"\xff\xd8\xff"),
    "image/gif": ("gif", b"GIF8"),
    "image/webp": ("webp", rb"(?s)RIFF....WEBP"),
}
"""What browsers show by itself, by its ending, and how its content begins: nothing that could be a page."""
_MOST = 100
"""Pictures of one notebook."""
_LARGEST_SVG = 256 << 10
"""Bytes of a drawing, which stands within the notebook: as a file of its own it could be opened as a page."""
_ENDINGS = r"\.(?:png|jpe?g|gif|webp|svg)"
_NAMED = re.compile(
    rf"""\( ?<([^<>\n]{{1,500}}{_ENDINGS})>|\( ?([^\s"'<>()]{{1,500}}{_ENDINGS})[ )]"""  # [text](path "title")
    rf"""|^ *\[[^\]\n]{{1,200}}\]: *<?([^\s<>]{{1,500}}{_ENDINGS})"""  # [label]: path
    rf"""|\bsrc ?= ?(?:"([^"<>\n]{{1,500}}{_ENDINGS})"|'([^'<>\n]{{1,500}}{_ENDINGS})')""",
    re.IGNORECASE | re.MULTILINE,
)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|/|\\", re.IGNORECASE)
_BEFORE_SVG = re.compile(rb"(?s)\s+|<\?xml.{0,2000}?\?>|<!--.{0,5000}?-->|<!DOCTYPE[^\[>]*>")
"""One part of what may stand before a drawing. Each is read once: one pattern for all would try every division."""
_SVG = re.compile(rb"<svg\b")


def named_in(document: Mapping[str, Any], folder: str) -> dict[str, str]:
    """Map what the prose of a notebook calls its pictures to paths from the pipeline file, as far as files are."""
    names = dict.fromkeys(unquote(name) for cell in _prose(document) for name in _names(cell))
    inside = (name for name in names if not _ELSEWHERE.match(name) and "\0" not in name)
    return {name: posixpath.normpath(posixpath.join(folder, name)) for name in list(inside)[:_MOST]}


def pictures_of(
    cell: Mapping[str, Any], found: Mapping[str, bytes], files: SiteFiles, scrub: Scrub, place: str
) -> dict[str, str]:
    """Publish the pictures of a cell, and return where each is, by the name that the cell gives it.

    ``found`` are the files that prose names, by these names.
    """
    shown: dict[str, str] = {}
    for name, forms in mapping(cell.get("attachments")).items():
        for data in _decoded(forms):
            if address := _address(data, files, scrub, place):
                shown[f"attachment:{name}"] = address
    for name in map(unquote, _names(cell)):
        if name in found and (address := _address(found[name], files, scrub, place)):
            shown[name] = address
    return shown


def _prose(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (cell for cell in cells_of(document) if cell.get("cell_type") == "markdown")


def _names(cell: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of pictures; in code and comments there may be some that nothing shows."""
    for found in _NAMED.finditer(joined(cell.get("source", ""))):
        yield next(name for name in found.groups() if name)


def _decoded(forms: Any) -> Iterator[bytes]:
    for encoded in mapping(forms).values():
        try:
            yield base64.b64decode(joined(encoded))
        except ValueError:
            continue


def _is_svg(data: bytes) -> bool:
    position = 0
    while before := _BEFORE_SVG.match(data, position):
        position = before.end()
    return _SVG.match(data, position) is not None


def _address(data: bytes, files: SiteFiles, scrub: Scrub, place: str) -> str | None:
    for extension, beginning in RASTER.values():
        if re.match(beginning, data):
            return files.put_bytes(data, hashlib.sha256(data).hexdigest(), extension, place)
    if len(data) > _LARGEST_SVG or not _is_svg(data):
        return None
    drawing = scrub(data.decode("utf-8", "replace")).encode()
    return f"data:image/svg+xml;base64,{base64.b64encode(files.secrets.clean(drawing, place)).decode()}"
