"""An executed notebook as the site shows it: its cells, with pictures as files and long outputs on their own.

Output is hostile, so each kind is put where a browser will not run it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from nbmake_dag_reporting.figures import figure_of, loads_only
from nbmake_dag_reporting.notebook import cells_of, is_injected, joined, listed, mapping, outputs_of
from nbmake_dag_reporting.prose_pictures import RASTER, Committed, named_in, pictures_of
from nbmake_dag_reporting.scrub import Scrub, scrub_value
from nbmake_dag_reporting.site_chunks import SiteFiles

_INLINE = 8 << 10
_LONGEST = 1 << 20
_LARGEST_PAGE = 20 << 20
"""What is not only text is broken where something is left out: it is kept whole, as far as notebooks have it."""
_FILES = {
    **RASTER,
    "application/pdf": ("pdf", b"%PDF-"),
    "audio/flac": ("flac", b"fLaC"),
    "audio/mp4": ("m4a", rb"(?s)....ftyp"),
    "audio/mpeg": ("mp3", rb"ID3|\xff[\xe2-\xff]"),
    "audio/ogg": ("ogg", b"OggS"),
    "audio/wav": ("wav", rb"(?s)RIFF....WAVE"),
    "video/mp4": ("mp4", rb"(?s)....ftyp"),
    "video/webm": ("webm", rb"\x1aE\xdf\xa3"),
}
"""What browsers show by themselves, by its ending, and how its content begins: nothing that could be a page."""
_BESIDE_A_FIGURE = (*RASTER, "image/svg+xml", "text/plain")
"""What is shown of an interactive figure whose library was not kept."""


def notebook_view(
    document: Mapping[str, Any],
    files: SiteFiles,
    scrub: Scrub,
    place: str,
    failed: Collection[int] = (),
    folder: str = "",
    committed: Committed | None = None,
) -> list[dict[str, Any]]:
    """View an executed notebook. ``i`` is a cell's index in the source, which an injected cell has not.

    ``failed`` are those of the cells that failed: errors of others were allowed. Pictures that prose names are
    relative to the ``folder`` of the notebook.
    """
    named = named_in(document, folder) if committed else {}
    content = committed(set(named.values())) if committed and named else {}
    found = {name: content[path] for name, path in named.items() if path in content}
    cells: list[dict[str, Any]] = []
    index = 0
    for cell in cells_of(document):
        injected = is_injected(cell)
        shown: dict[str, Any] = {"t": str(cell.get("cell_type", "raw")), "s": joined(cell.get("source", ""))}
        if injected:
            shown["injected"] = True
        else:
            shown["i"] = index
            index += 1
        results = _results(cell, files, scrub, f"{place}, cell {index}")
        if not injected and shown["i"] not in failed:
            for output in results.get("o", ()):
                if output["t"] == "error":
                    output["allowed"] = True
        if shown["t"] == "markdown" and (
            pictures := pictures_of(cell, found, files, scrub, f"{place}, cell {index}")
        ):
            shown["p"] = pictures
        cells.append({**shown, **results})
    return cells


def shown_file(data: bytes, media_type: str, sha256: str, files: SiteFiles, place: str) -> str | None:
    """Publish a picture, sound, film or PDF as a file, if that is what it is."""
    extension, beginning = _FILES.get(media_type, ("", b""))
    if not extension or not re.match(beginning, data):
        return None
    return files.put_bytes(data, sha256, extension, place)


def long_text(text: str, files: SiteFiles, place: str, most: int = _LONGEST) -> str | dict[str, Any]:
    """Return a short text itself, a long one's reference; the middle of a very long one is left out."""
    if len(text) <= _INLINE:
        return text
    if len(text) > most:
        left_out = len(text) - most
        text = f"{text[: most // 2]}\n[… {left_out:,} characters left out …]\n{text[-most // 2 :]}"
    return {"ref": files.put(text, place), "size": len(text)}


def _results(cell: Mapping[str, Any], files: SiteFiles, scrub: Scrub, place: str) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = []
    for output in outputs_of(cell):
        with suppress(RecursionError):
            if (shown := _output(output, files, scrub, place)) is not None:
                outputs.append(shown)
    results: dict[str, Any] = {"o": outputs} if outputs else {}
    if isinstance(count := cell.get("execution_count"), int):
        results["n"] = count
    return results


def _output(output: Mapping[str, Any], files: SiteFiles, scrub: Scrub, place: str) -> dict[str, Any] | None:
    match output.get("output_type"):
        case "stream":
            text = long_text(scrub(joined(output.get("text", ""))), files, place)
            return {"t": "stream", "name": str(output.get("name", "stdout")), "text": text}
        case "error":
            trace = scrub("\n".join(map(str, listed(output.get("traceback")))))
            return {
                "t": "error",
                "name": str(output.get("ename", "")),
                "value": scrub(str(output.get("evalue", ""))),
                "trace": long_text(trace, files, place),
            }
        case "display_data" | "execute_result":
            given = mapping(output.get("data"))
            if loads_only(given):
                return None
            if figure := figure_of(given):
                given = {name: value for name, value in given.items() if name in _BESIDE_A_FIGURE}
            data = {
                media_type: shown
                for media_type, value in given.items()
                if (shown := _data(media_type, value, files, scrub, place)) is not None
            }
            if figure:
                spec = files.put(scrub_value(figure.spec, scrub), place)
                return {"t": "figure", "kind": figure.kind, "spec": spec, "d": data}
            return {"t": "data", "d": data} if data else None
        case _:
            return None


def _data(media_type: str, value: Any, files: SiteFiles, scrub: Scrub, place: str) -> Any:
    if media_type in RASTER:
        try:
            raw = base64.b64decode(joined(value))
        except ValueError:
            return None
        path = shown_file(raw, media_type, hashlib.sha256(raw).hexdigest(), files, place)
        return None if path is None else {"file": path}
    if media_type.endswith("json"):
        value = scrub_value(value, scrub)
        return {"ref": files.put(value, place), "json": True}
    most = _LONGEST if media_type == "text/plain" else _LARGEST_PAGE
    return long_text(scrub(joined(value)), files, place, most)
