"""Log texts, documents, tables, figures and files, with MLflow's names and argument orders."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from nbmake_dag.inside.given import given
from nbmake_dag.inside.stream import append, checked_text
from nbmake_dag.inside.table import MEDIA_TYPE as TABLE
from nbmake_dag.inside.table import plain, table_document

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gif": "image/gif",
    ".htm": "text/html",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".log": "text/plain",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}
_UNKNOWN = "application/octet-stream"
_MAX_PART = 255


def log_text(text: str, artifact_file: str) -> None:
    """Log a text as UTF-8 under the name ``artifact_file``, a relative path such as ``notes/model.md``.

    Raises `TypeError` for anything but a string. Every function here raises `ValueError` for a name that leaves
    its folder or is too long.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users are not type-checked
        raise TypeError(f"log_text takes a string, not {type(text).__name__}")
    _log(artifact_file, _bytes_writer(_encoded(artifact_file, text)), unknown="text/plain")


def log_dict(dictionary: Any, artifact_file: str) -> None:
    """Log a dict or list as JSON, which is also YAML; numpy's values become Python's, NaN becomes null."""
    text = json.dumps(plain(dictionary), indent=2, ensure_ascii=False)
    _log(artifact_file, _bytes_writer(_encoded(artifact_file, text)), unknown="application/json")


def log_table(data: Any, artifact_file: str) -> None:
    """Log a list of dicts, a dict of lists, or a pandas or polars frame, to be shown as a table.

    The name ends with ``.json``, or `ValueError` is raised.
    """
    if not artifact_file.endswith(".json"):
        raise ValueError(f"a table is kept as JSON: call it {os.path.splitext(artifact_file)[0]}.json")
    text = json.dumps(table_document(data), ensure_ascii=False, separators=(",", ":"))
    _log(artifact_file, _bytes_writer(_encoded(artifact_file, text)), media_type=TABLE)


def log_figure(figure: Any, artifact_file: str) -> None:
    """Log a figure of matplotlib, plotly or Altair, or a PIL image, in the format that the name ends with.

    Raises `TypeError` for anything else.
    """
    _log(artifact_file, _figure_writer(figure))


def log_artifact(local_path: str | os.PathLike[str] | bytes, artifact_path: str | None = None) -> None:
    """Log a file, a directory with all in it, or bytes.

    ``artifact_path`` is the folder that a file or directory goes to, as in MLflow; bytes have no name of their
    own, so for them it is the name. Raises `OSError` for a path that cannot be read.
    """
    if isinstance(local_path, (bytes, bytearray, memoryview)):
        if artifact_path is None:
            raise TypeError("bytes need a name: log_artifact(data, 'name.bin')")
        _log(artifact_path, _bytes_writer(bytes(local_path)))
        return
    path = os.path.abspath(local_path)
    name = os.path.basename(path) if artifact_path is None else f"{artifact_path}/{os.path.basename(path)}"
    if not os.path.isdir(path):
        os.stat(path)
        _log(name, _copier(path))
        return
    log_directory(path, f"{name}/")


def log_data(name: str, data: bytes, media_type: str) -> None:
    """Log bytes of a media type that their name does not tell."""
    _log(name, _bytes_writer(data), media_type=media_type)


def log_directory(path: str, prefix: str) -> None:
    """Log all files below a directory, each with ``prefix`` before its relative path."""
    for folder, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            source = os.path.join(folder, file)
            _log(prefix + os.path.relpath(source, path), _copier(source))


def guess_media_type(name: str, unknown: str = _UNKNOWN) -> str:
    """Return the media type by a name's ending: the same on every machine."""
    return _MEDIA_TYPES.get(os.path.splitext(name)[1].lower(), unknown)


def check_artifact_name(name: object) -> str:
    """Return a name that is safe to lie below some folder; raises `TypeError` or `ValueError`."""
    if not isinstance(name, str):
        raise TypeError(f"an artifact's name must be a string, not {type(name).__name__}")
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\0" in name:
        raise ValueError(f"an artifact's name is a relative path without '.' and '..', not {name!r}")
    checked_text("an artifact's name", name)
    if any(len(part.encode()) > _MAX_PART for part in parts):
        raise ValueError(f"the name of an artifact is too long: {name[:40]!r}...")
    return name


def _log(
    name: str, write: Callable[[str], object], *, media_type: str | None = None, unknown: str = _UNKNOWN
) -> None:
    """Write a file under a name that only this call knows, then log it; outside a run only check the name."""
    check_artifact_name(name)
    folder = given("NBDAG_ARTIFACTS")
    if not folder or not given("NBDAG_LOG"):
        return
    os.makedirs(folder, exist_ok=True)
    file = secrets.token_hex(8) + os.path.splitext(name)[1][:16].lower()
    write(os.path.join(folder, file))
    append(
        {
            "kind": "artifact",
            "name": name,
            "path": file,
            "media_type": media_type or guess_media_type(name, unknown),
        }
    )


def _encoded(name: str, text: str) -> bytes:
    return checked_text(f"artifact {name!r}", text).encode()


def _bytes_writer(data: bytes) -> Callable[[str], object]:
    def write(path: str) -> None:
        with open(path, "wb") as file:
            file.write(data)

    return write


def _copier(source: str) -> Callable[[str], object]:
    return lambda path: shutil.copyfile(source, path)


def _figure_writer(figure: Any) -> Callable[[str], object]:
    """Detect the library from the methods of its figures, importing none; metadata that changes is left out."""
    if hasattr(figure, "savefig"):  # matplotlib
        return lambda path: figure.savefig(path, metadata=_undated(path))
    if hasattr(figure, "write_html"):  # plotly
        return lambda path: _write_plotly(figure, path)
    if hasattr(figure, "save") and hasattr(figure, "to_json"):  # Altair
        return lambda path: _save_altair(figure, path)
    if hasattr(figure, "save") and hasattr(figure, "getbands"):  # PIL
        save: Callable[[str], object] = figure.save
        return save
    raise TypeError(f"log_figure does not know {type(figure).__module__}.{type(figure).__qualname__}")


def _undated(path: str) -> dict[str, None]:
    """Return the keys of matplotlib's metadata that differ between versions and times."""
    dated = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}.get(os.path.splitext(path)[1])
    return {dated: None} if dated else {}


def _save_altair(figure: Any, path: str) -> None:
    """Write a page that holds its own scripts, if Altair's converter is installed; it loads them otherwise."""
    if path.endswith((".html", ".htm")):
        figure.save(path, format="html", inline=find_spec("vl_convert") is not None)
    else:
        figure.save(path)


def _write_plotly(figure: Any, path: str) -> None:
    if path.endswith((".html", ".htm")):
        figure.write_html(path, include_plotlyjs=True, div_id="figure")
    elif path.endswith(".json"):
        figure.write_json(path)
    else:
        figure.write_image(path)
