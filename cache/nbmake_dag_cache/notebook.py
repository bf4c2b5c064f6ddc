"""A notebook as its author wrote it: the cells of an ``.ipynb`` file, or of a text that Jupytext reads.

What running leaves in a notebook (outputs, execution counts, the parameters that papermill injected) is
not read.
"""

from __future__ import annotations

import json
import posixpath
import warnings
from typing import Any, Literal

import msgspec


class UnreadableNotebookError(ValueError):
    """The bytes are no notebook; the message is one sentence that names the file."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell. ``identifier`` is that of nbformat 4.5, ``None`` where the file has none."""

    kind: Literal["code", "markdown", "raw"]
    source: str
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    attachments: dict[str, Any] = {}
    identifier: str | None = None

    @property
    def is_executed(self) -> bool:
        return self.kind == "code" and "skip-execution" not in self.tags

    @property
    def may_raise(self) -> bool:
        return "raises-exception" in self.tags


class NotebookSource(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook without its results.

    ``language`` is in lower case, and empty where only a kernelspec could tell it; ``kernel`` is the name
    of the kernelspec that the notebook asks for.
    """

    language: str
    kernel: str | None
    cells: tuple[Cell, ...]
    metadata: dict[str, Any] = {}

    @property
    def parameters_index(self) -> int | None:
        """The cell after which parameters are injected; ``None`` is before the first."""
        return next((index for index, cell in enumerate(self.cells) if "parameters" in cell.tags), None)


def read_notebook(data: bytes, path: str) -> NotebookSource:
    """Read a notebook; ``path`` tells its format and is named in the message of `UnreadableNotebookError`."""
    extension = posixpath.splitext(path)[1]
    try:
        text = data.decode("utf-8-sig")
        document = _read_json(text) if extension == ".ipynb" else _read_text(text, extension)
        return _source_of(document)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableNotebookError(f"{path} cannot be read as a notebook: {reason}") from error


class _Cell(msgspec.Struct):
    cell_type: Literal["code", "markdown", "raw"]
    source: str | list[str]
    metadata: dict[str, Any] = {}
    attachments: dict[str, Any] = {}
    id: str | None = None


class _Document(msgspec.Struct):
    nbformat: Literal[4]
    cells: list[_Cell]
    metadata: dict[str, Any] = {}


class _Version(msgspec.Struct):
    nbformat: int


class _Named(msgspec.Struct, frozen=True):
    name: str | None = None
    language: str | None = None


class _Jupytext(msgspec.Struct, frozen=True):
    main_language: str | None = None


class _Metadata(msgspec.Struct):
    kernelspec: _Named = _Named()
    language_info: _Named = _Named()
    jupytext: _Jupytext = _Jupytext()


class _Tags(msgspec.Struct):
    tags: tuple[str, ...] = ()


def _read_json(text: str) -> _Document:
    try:
        return msgspec.json.decode(text, type=_Document)
    except msgspec.DecodeError:
        document = json.loads(text)  # unlike msgspec it accepts NaN, which outputs may hold
    version = msgspec.convert(document, _Version).nbformat
    if version < 4:
        document = _upgrade(text)
    elif version > 4:
        raise ValueError(f"its format is nbformat {version}, and 4 is the newest known")
    return msgspec.convert(document, _Document)


def _upgrade(text: str) -> Any:
    from nbformat import convert, reader  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return convert(reader.reads(text), 4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ValueError(f"it cannot be converted to nbformat 4 ({error!r})") from error


def _read_text(text: str, extension: str) -> _Document:
    import jupytext  # noqa: PLC0415 - slow to import, and needed only for a notebook that changed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = jupytext.reads(text, fmt={"extension": extension})
    except Exception as error:
        raise ValueError(f"Jupytext says {error}") from error
    for cell in document["cells"]:
        cell.pop("id", None)  # Jupytext makes it up
    return msgspec.convert(document, _Document)


def _source_of(document: _Document) -> NotebookSource:
    metadata = msgspec.convert(document.metadata, _Metadata)
    kernel = metadata.kernelspec.name
    language = metadata.language_info.name or metadata.kernelspec.language or metadata.jupytext.main_language
    if language is None:
        language = "python" if kernel is None or kernel.startswith("python") else ""
    cells = (
        Cell(
            kind=cell.cell_type,
            source=cell.source if isinstance(cell.source, str) else "".join(cell.source),
            tags=msgspec.convert(cell.metadata, _Tags).tags,
            metadata=cell.metadata,
            attachments=cell.attachments,
            identifier=cell.id,
        )
        for cell in document.cells
    )
    return NotebookSource(
        language=language.lower(),
        kernel=kernel,
        cells=tuple(cell for cell in cells if "injected-parameters" not in cell.tags),
        metadata=document.metadata,
    )
