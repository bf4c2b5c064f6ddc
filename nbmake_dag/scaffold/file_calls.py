"""The calls of Python and its usual libraries that open a file, and which argument names it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from nbmake_dag.scaffold.known_calls import NotLiteralError
from nbmake_dag.scaffold.literals import Literals

Mode: TypeAlias = Literal["read", "write"]

_READERS = frozenset(
    {
        *("genfromtxt", "imread", "load", "load_model", "load_npz", "load_weights", "loadmat", "loadtxt"),
        *("open_dataset", "scan_csv", "scan_ipc", "scan_ndjson", "scan_parquet"),
    }
)
_WRITERS = frozenset(
    {
        *("ExcelWriter", "PdfPages", "imsave", "imwrite", "save", "save_model", "save_npz", "save_weights"),
        *("savefig", "savemat", "savetxt", "savez", "savez_compressed", "sink_csv", "sink_ipc", "sink_parquet"),
        *("to_file", "to_html", "to_image", "to_latex", "to_markdown", "to_netcdf", "write_html", "write_image"),
    }
)
_FORMATS = frozenset(
    {
        *("avro", "csv", "database", "edgelist", "excel", "feather", "file", "fwf", "gml", "gpickle", "graphml"),
        *("h5ad", "hdf", "ipc", "json", "ndjson", "orc", "parquet", "pickle", "sas", "spss", "stata", "table"),
        "xml",
    }
)
_BY_MODE = frozenset({"Dataset", "File", "HDFStore", "ZipFile", "memmap"})
_PATH_KEYWORDS = frozenset(
    {"dest", "file", "filename", "filepath", "filepath_or_buffer", "fname", "io", "out", "path", "path_or_buf"}
)
_SUFFIXES = {"save": ".npy", "savez": ".npz", "savez_compressed": ".npz"}
"""Functions of NumPy that add what is missing to the name of their file."""
_COPIES = frozenset({"copy", "copy2", "copyfile", "move", "rename", "replace"})


class NamedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a call opens: the first of the expressions that is a path names it."""

    mode: Mode
    names: tuple[ast.expr, ...]
    is_pattern: bool = False
    suffix: str = ""
    """What the library adds to a name that does not end with it."""


def files_of(  # noqa: C901, PLR0912 - a case for each way to name a file
    call: ast.Call, literals: Literals
) -> Iterator[NamedFile]:
    """Yield the files that a call opens. A call whose mode is unknown, or both reads and writes, is left out."""
    match call.func, call.args:
        case ast.Attribute(attr="run_cell_magic"), [ast.Constant(value="writefile" | "file"), line, *_]:
            if isinstance(line, ast.Constant) and (words := str(line.value).split()) and "-a" not in words:
                yield NamedFile(mode="write", names=(ast.Constant(value=words[-1]),))
        case (ast.Name(id="open"), _) | (ast.Attribute(value=ast.Name(id="io" | "codecs"), attr="open"), _):
            yield from _opened(call.args[:1], call.args[1:], call.keywords, literals)
        case ast.Attribute(value=owner, attr="open"), [*given]:
            if _is_known(owner, literals):
                yield from _opened([owner], given, call.keywords, literals)
            elif given:
                yield from _opened(given[:1], given[1:], call.keywords, literals)
        case (ast.Attribute(attr=kind) | ast.Name(id=kind), [path, *rest]) if kind in _BY_MODE:
            yield from _opened([path], rest, call.keywords, literals)
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name), [path, *_] if name in _SUFFIXES:
            yield NamedFile(mode="write", names=(path, *_named(call)), suffix=_SUFFIXES[name])
        case ast.Attribute(value=path, attr="read_text" | "read_bytes"), _:
            yield NamedFile(mode="read", names=(path,))
        case ast.Attribute(value=path, attr="write_text" | "write_bytes"), _:
            yield NamedFile(mode="write", names=(path,))
        case ast.Attribute(value=ast.Name(id="glob"), attr="glob" | "iglob"), [pattern]:
            yield NamedFile(mode="read", names=(pattern,), is_pattern=True)
        case ast.Attribute(value=folder, attr="glob"), [pattern]:
            path = ast.BinOp(left=folder, op=ast.Div(), right=pattern)
            yield NamedFile(mode="read", names=(path,), is_pattern=True)
        case ast.Attribute(value=ast.Name(id="joblib" | "cloudpickle"), attr="dump"), [_, path]:
            yield NamedFile(mode="write", names=(path,))
        case ast.Attribute(value=ast.Name(id="shutil" | "os"), attr=name), [source, target] if name in _COPIES:
            yield NamedFile(mode="read", names=(source,))
            yield NamedFile(mode="write", names=(target,))
        case ast.Attribute(value=ast.Name(id="shutil"), attr="copytree"), [source, target]:
            yield NamedFile(mode="read", names=(_as_folder(source),))
            yield NamedFile(mode="write", names=(_as_folder(target),))
        case (ast.Attribute(attr="urlretrieve") | ast.Name(id="urlretrieve"), [_, *given]) | (
            ast.Attribute(value=ast.Name(id="wget" | "gdown"), attr="download"),
            [_, *given],
        ):
            yield NamedFile(mode="write", names=(*given[:1], *_named(call)))
        case ((ast.Attribute(attr=name) | ast.Name(id=name)), given):
            mode = _mode_of(name)
            if mode is not None:
                # `torch.save(model, path)` and `pq.write_table(table, path)` name the file second
                yield NamedFile(mode=mode, names=(*given[: 2 if mode == "write" else 1], *_named(call)))
        case _:
            pass


def _named(call: ast.Call) -> list[ast.expr]:
    return [item.value for item in call.keywords if item.arg in _PATH_KEYWORDS]


def _as_folder(path: ast.expr) -> ast.expr:
    """Return an expression for a path with a slash at its end."""
    return ast.BinOp(left=path, op=ast.Div(), right=ast.Constant(""))


def _is_known(expression: ast.expr, literals: Literals) -> bool:
    try:
        return isinstance(literals.evaluate(expression), str)
    except NotLiteralError:
        return False


def _mode_of(function: str) -> Mode | None:
    verb, _, kind = function.partition("_")
    if function in _READERS or (verb == "read" and kind in _FORMATS):
        return "read"
    if function in _WRITERS or (verb in {"to", "write"} and kind in _FORMATS):
        return "write"
    return None


def _opened(
    path: list[ast.expr], rest: list[ast.expr], keywords: list[ast.keyword], literals: Literals
) -> Iterator[NamedFile]:
    modes = [*rest[:1], *(item.value for item in keywords if item.arg == "mode")]
    names = [*path, *(item.value for item in keywords if item.arg in {"file", "filename", "name"})]
    try:
        mode = str(literals.evaluate(modes[0])) if modes else "r"
    except NotLiteralError:
        return
    if "+" not in mode:
        used: Mode = "write" if any(letter in mode for letter in "wax") else "read"
        yield NamedFile(mode=used, names=tuple(names[:1]))
