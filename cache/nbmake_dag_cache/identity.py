"""The identity of a notebook: the parts of its text that decide its result, and the facts that planning needs."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

import msgspec

from nbmake_dag_cache.cells import Executable, executable, text_identity
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.imports import Imports, imports_in
from nbmake_dag_cache.ipython import package_version
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.notebook import Cell, NotebookSource

FORMAT = 10
_TITLE_LENGTH = 80
_GIVEN = re.compile(r"^[ \t]*(inputs|outputs)[ \t]*(?:<-|:?=(?!=))", re.MULTILINE)
"""An assignment to one of the names under which a notebook gets its declared paths, in most languages."""


class CellIdentity(msgspec.Struct, frozen=True, array_like=True):
    """A cell that counts. ``index`` is its place among all cells, ``title`` the first line of its text.

    ``digest`` covers its code, and whether it may raise.
    """

    digest: Digest
    index: int
    title: str


class NotebookIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The identity computed from a `NotebookSource`.

    ``injection`` is the number of counting cells before the injected parameters. ``parameters`` are the names that
    the parameters cell assigns, ``None`` where its language is unknown to us. ``writes`` are the files that cells
    are written to by ``%%writefile``, relative to where the notebook runs. ``allow_errors`` is what its metadata
    allow: it is not an ingredient by itself, because a pipeline can override it.
    ``formats`` are those that Jupytext pairs it with.
    """

    language: str
    kernel: str | None
    cells: tuple[CellIdentity, ...]
    injection: int = 0
    parameters: tuple[str, ...] | None = ()
    imports: Imports = Imports()
    writes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    """Which of ``inputs`` and ``outputs`` the parameters cell assigns."""
    allow_errors: bool = False
    formats: str = ""

    @property
    def takes_inputs(self) -> bool:
        return "inputs" in self.given

    @property
    def takes_outputs(self) -> bool:
        return "outputs" in self.given

    def ingredients(self) -> Iterator[Ingredient]:
        """Yield what belongs to a key: each counting cell, numbered from 1, and where parameters go."""
        for number, cell in enumerate(self.cells, start=1):
            yield Ingredient("cell", str(number), cell.digest)
        yield Ingredient("parameters cell", "", str(self.injection))


def identity_schema() -> str:
    """Name everything that its identity depends on, except the notebook's bytes and file extension."""
    python = ".".join(map(str, sys.version_info[:3]))
    ipython = package_version("IPython", "core/release.py")
    jupytext = package_version("jupytext", "version.py")
    return f"{FORMAT} python={python} ipython={ipython} jupytext={jupytext}"


def identify(notebook: NotebookSource) -> NotebookIdentity:
    """Identify a notebook, by syntax if its language is Python, else by the text of its code cells."""
    is_python = notebook.language == "python"
    parameters_index = notebook.parameters_index
    parameters: tuple[str, ...] | None = ()
    cells: list[CellIdentity] = []
    modules: list[tuple[str, ast.Module]] = []
    writes: list[str] = []
    given: tuple[str, ...] = ()
    injection = 0
    for index, cell in enumerate(notebook.cells):
        if cell.is_executed and is_python:
            code = executable(cell.source)
            if code.counts:
                cells.append(_cell_identity(index, cell, code.identity))
            modules += code.modules
            writes += [code.written] if code.written else []
            if index == parameters_index:
                parameters = _assigned_names(code)
                given = parameters or ()
        elif cell.is_executed and cell.source.strip():
            cells.append(_cell_identity(index, cell, text_identity(cell.source)))
            if index == parameters_index:
                parameters = None
                # bash has neither lists nor tables
                given = tuple(_GIVEN.findall(cell.source)) if notebook.language != "bash" else ()
        if index == parameters_index:
            injection = len(cells)
    return NotebookIdentity(
        language=notebook.language,
        kernel=notebook.kernel,
        cells=tuple(cells),
        injection=injection,
        parameters=parameters,
        imports=imports_in(modules),
        writes=tuple(writes),
        given=tuple(name for name in ("inputs", "outputs") if name in given),
        allow_errors=notebook.allow_errors,
        formats=notebook.formats,
    )


def _cell_identity(index: int, cell: Cell, digest: Digest) -> CellIdentity:
    if cell.may_raise:
        digest = digest_text("raises-exception:" + digest)
    title = cell.source.strip().split("\n", 1)[0][:_TITLE_LENGTH]
    return CellIdentity(digest, index, title)


def _assigned_names(code: Executable) -> tuple[str, ...] | None:
    """List the names that a parameters cell assigns or declares at its top level, in order."""
    if code.tree is None:
        return None
    targets: list[ast.expr] = []
    for statement in code.tree.body:
        match statement:
            case ast.Assign(targets=found):
                targets += found
            case ast.AnnAssign(target=found):
                targets.append(found)
            case _:
                pass
    nodes = [node for target in targets for node in ast.walk(target)]
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return tuple(dict.fromkeys(names))
