"""A notebook as its author wrote it: the cells of an ``.ipynb`` file, or of a text that Jupytext reads.

What running leaves in a notebook (outputs, execution counts, the parameters that papermill injected) is
not read.
"""

from __future__ import annotations

import json
import posixpath
import re
import warnings
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from nbmake_dag_cache.percent import read_plain_percent

T = TypeVar("T")
_MOST_LEVELS = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnreadableNotebookError(ValueError):
    """The bytes are not a notebook; the message is one sentence that names the file."""


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

    ``language`` is in lower case, and empty where only a kernelspec has it; ``kernel`` is the name
    of the kernelspec that the notebook asks for.
    """

    language: str
    kernel: str | None
    cells: tuple[Cell, ...]
    metadata: dict[str, Any] = {}

    @property
    def formats(self) -> str:
        """The formats that Jupytext pairs it with, in its short spelling: ``ipynb,py:percent``."""
        formats = _at(self.metadata, ("jupytext", "formats"))
        return formats if isinstance(formats, str) else ""

    @property
    def allow_errors(self) -> bool:
        """Whether its metadata allow any cell to raise, in one of the ways that other tools read too."""
        return any(_at(self.metadata, path) is True for path in _ALLOW_ERRORS)

    @property
    def parameters_index(self) -> int | None:
        """The cell after which parameters are injected; ``None`` is before the first."""
        return next((index for index, cell in enumerate(self.cells) if "parameters" in cell.tags), None)


def read_notebook(data: bytes, path: str, form: str = "") -> NotebookSource:
    """Read a notebook; ``path`` determines its format and is named in the message of `UnreadableNotebookError`.

    ``form`` is the format of a text where it is not to be guessed, in Jupytext's spelling, such as ``py:sphinx``.
    """
    extension = posixpath.splitext(path)[1]
    try:
        text = data.decode("utf-8-sig")
        if not text and extension == ".ipynb":
            raise ValueError("the file is empty")  # noqa: TRY301 - the message needs the path as all others do
        document = _read_json(text) if extension == ".ipynb" else _read_text(text, extension, form)
        return _source_of(document)
    except json.JSONDecodeError as error:
        marked = _is_conflict_marker(error)
        reason = f"line {error.lineno} is a conflict marker of git: resolve the merge" if marked else str(error)
        raise UnreadableNotebookError(f"{path} cannot be read as a notebook: {reason}") from error
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableNotebookError(f"{path} cannot be read as a notebook: {reason}") from error


def read_code(data: bytes, path: str, form: str = "") -> NotebookSource:
    """Read a notebook as `read_notebook` does, but perhaps without metadata that decide nothing.

    That is faster for scripts which need no Jupytext.
    """
    if posixpath.splitext(path)[1] == ".py" and form in {"", "py:percent"}:
        try:
            script = read_plain_percent(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            script = None
        if script is not None:
            formats = {} if script.formats is None else {"jupytext": {"formats": script.formats}}
            return NotebookSource(
                language=script.kernelspec.get("language", "python"),
                kernel=script.kernelspec.get("name"),
                cells=tuple(
                    Cell(kind=cell.kind, source=cell.source, tags=cell.tags)
                    for cell in script.cells
                    if "injected-parameters" not in cell.tags
                ),
                metadata=formats,
            )
    return read_notebook(data, path, form)


def _is_conflict_marker(error: json.JSONDecodeError) -> bool:
    """Return whether git left both sides of a merge in a file, and what it put between them is no JSON."""
    return error.doc.split("\n")[error.lineno - 1].startswith(("<<<<<<< ", "=======", ">>>>>>> "))


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


_ALLOW_ERRORS = (
    ("execution", "allow_errors"),  # Jupyter Book, jupyter-cache, nbmake
    ("allow_errors",),
    ("mystnb", "execution_allow_errors"),  # MyST-NB
    ("nbsphinx", "allow_errors"),
)
"""The keys of a notebook's metadata that can declare its errors as deliberate."""


class _Tags(msgspec.Struct):
    tags: tuple[str, ...] = ()


def _read_json(text: str) -> _Document:
    try:
        return msgspec.json.decode(text, type=_Document)
    except msgspec.DecodeError:
        # unlike msgspec it accepts NaN, which outputs may hold, and lone surrogates
        document = _encodable(json.loads(text))
    version = msgspec.convert(document, _Version).nbformat
    if version < 4:
        document = _upgrade(text)
    elif version > 4:
        raise ValueError(f"its format is nbformat {version}, and 4 is the newest known")
    return msgspec.convert(document, _Document)


def _encodable(document: Any) -> Any:
    """Return a document that UTF-8 can hold; raises `ValueError` for code that it cannot, as no kernel runs it.

    Jupyter shows lone surrogates in Markdown and metadata as replacement characters; here they become those.
    """
    match document:
        case {"cells": list() as cells}:
            for number, cell in enumerate(cells, start=1):
                match cell:
                    case {"cell_type": "code", "source": str() | list() as source}:
                        _refuse_surrogates("".join(map(str, source)), number)
                    case _:
                        pass
        case _:
            pass
    return _replaced(document)


def _refuse_surrogates(code: str, number: int) -> None:
    if lone := _SURROGATE.search(code):
        raise ValueError(f"the code of cell {number} holds the lone surrogate U+{ord(lone[0]):04X}")


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    return value


def _upgrade(text: str) -> Any:
    from nbformat import convert, reader  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return convert(reader.reads(text), 4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ValueError(f"it cannot be converted to nbformat 4 ({error!r})") from error


def jupytext_notebook(text: str, extension: str, form: str = "") -> Any:
    """Read a text as Jupytext does, also one whose header names a kernel and no more."""
    import jupytext  # noqa: PLC0415 - slow to import, and needed only for a notebook that changed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jupytext.reads(_HEADER.sub(_completed, text), fmt=form or extension)


_HEADER = re.compile(r"\A(?:#.*\n|<!--\s*)*?\W{0,4}---[ \t]*\r?\n(?:.*\n)*?\W{0,4}---[ \t]*\r?(?:\n|\Z)")
"""The YAML at the beginning of a text, after what a script may begin with."""
_FLOW = re.compile(r"(kernelspec:[ \t]*\{[ \t]*name:[ \t]*)([^,}]*?)([ \t]*\})")
_KERNELSPEC = re.compile(
    r"^(?P<lead>\W{0,4}[ \t]*)kernelspec:[ \t]*\r?\n(?P<entries>(?:(?P=lead)[ \t]+\S.*(?:\n|\Z))+)", re.MULTILINE
)
"""The kernel in a header, whatever its lines begin with."""


def _completed(header: re.Match[str]) -> str:
    """Add the kernel's name for people, which nbformat's schema demands and Jupyter does not need."""
    return _FLOW.sub(r"\1\2, display_name: \2\3", _KERNELSPEC.sub(_with_display_name, header[0], count=1))


def _with_display_name(found: re.Match[str]) -> str:
    name = re.search(r"^(\W*)name:[ \t]*(\S.*?)[ \t]*\r?$", found["entries"], re.MULTILINE)
    if name is None or re.search(r"^\W*display_name:", found["entries"], re.MULTILINE):
        return found[0]
    head = found[0][: len(found[0]) - len(found["entries"])]
    return f"{head}{name[1]}display_name: {name[2]}\n{found['entries']}"


def _read_text(text: str, extension: str, form: str) -> _Document:
    try:
        document = jupytext_notebook(text, extension, form)
    except Exception as error:
        raise ValueError(f"Jupytext says {error}") from error
    for cell in document["cells"]:
        cell.pop("id", None)  # Jupytext makes it up
    return msgspec.convert(document, _Document)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _converted(metadata: dict[str, Any], kind: type[T], what: str) -> T:
    """Read metadata; raises `ValueError` with ``what`` they are of."""
    try:
        return msgspec.convert(metadata, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what}: {error}".replace("`$.", "`")) from error


def _refuse_depth(value: Any, where: str) -> None:
    """Raise `ValueError` for what is nested so deeply that no other reader and writer of notebooks can follow."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ValueError(f"{where} is nested deeper than {_MOST_LEVELS}")


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _source_of(document: _Document) -> NotebookSource:
    _refuse_depth(document.metadata, "its metadata")
    for number, cell in enumerate(document.cells, start=1):
        _refuse_depth([cell.metadata, cell.attachments], f"the metadata of cell {number}")
    metadata = _converted(document.metadata, _Metadata, "its metadata")
    kernel = metadata.kernelspec.name
    language = metadata.language_info.name or metadata.kernelspec.language or metadata.jupytext.main_language
    if language is None:
        language = "python" if kernel is None or kernel.startswith("python") else ""
    cells = (
        Cell(
            kind=cell.cell_type,
            source=cell.source if isinstance(cell.source, str) else "".join(cell.source),
            tags=_converted(cell.metadata, _Tags, f"the metadata of cell {number}").tags,
            metadata=cell.metadata,
            attachments=cell.attachments,
            identifier=cell.id,
        )
        for number, cell in enumerate(document.cells, start=1)
    )
    return NotebookSource(
        language=language.lower(),
        kernel=kernel,
        cells=tuple(cell for cell in cells if "injected-parameters" not in cell.tags),
        metadata=document.metadata,
    )
