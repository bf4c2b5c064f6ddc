"""Ploomber's ``pipeline.yaml``: tasks of ``source`` and ``product``, whose dependencies are in their code."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import product as combinations
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step
from nbmake_dag.scaffold.imports.yaml_file import filled, items, looked_up, read_yaml, table
from nbmake_dag.scaffold.literals import parameters_of
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import NotebookSource, UnreadableNotebookError, read_notebook

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_IN_GRID = re.compile(r"\[\[\s*(\w+)\s*\]\]")
_UPSTREAM_IN_TEXT = re.compile(r"""upstream\s*\[\s*['"]([^'"]+)['"]\s*\]|upstream\.([A-Za-z_]\w*)""")
_NOTEBOOKS = (".py", ".ipynb", ".md", ".Rmd", ".R", ".qmd")
_UNDERSTOOD = frozenset({"class", "grid", "name", "params", "product", "source", "upstream"})
_HARMLESS = frozenset({"static_analysis", "local_execution", "nb_product_key"})
_MOST_OF_A_GRID = 1000


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task of the file, with the products by name; a product that is not named is ``product``."""

    name: str
    source: str
    products: Mapping[str, str]
    is_single: bool
    needs: tuple[str, ...]
    parameters: Mapping[str, Any]
    unsaid: tuple[str, ...]
    takes: frozenset[str] | None
    """The parameters that its code has, ``None`` where that is not known."""


def read_ploomber(source: SourceFile) -> Imported:
    """Read tasks; raises `UsageError` for a file that is none of Ploomber's."""
    document = read_yaml(source)
    content = {"tasks": document} if isinstance(document, list) else table(document, "the file", source)
    if "location" in content:
        raise UsageError(
            f"{source.path} names a function that makes the pipeline, which is not executed",
            (),
            "write its tasks into pipeline.toml by hand",
        )
    if not isinstance(content.get("tasks"), list):
        raise UsageError(f"{source.path} has no list of `tasks`", (), "a pipeline.yaml of Ploomber has one")
    unsaid = [
        f"`{key}`" for key in content if key not in {"tasks", "meta"} and not (key == "config" or not content[key])
    ]
    meta = content.get("meta") or {}
    listed = [*content["tasks"]]
    if isinstance(meta, dict) and isinstance(more := meta.get("import_tasks_from"), str):
        other = source.sibling(source.at(more))
        found = read_yaml(other) if other else None
        if isinstance(found, list):
            listed += found
        else:
            unsaid.append(f"the tasks of `{more}`, which cannot be read")
    environment = _environment(source)
    unknown: set[str] = set()
    tasks: list[_Task] = []
    for number, entry in enumerate(listed, start=1):
        given = table(entry, f"task {number}", source)
        if not isinstance(given.get("source"), str):
            raise UsageError(f"{source.path}: task {number} has no `source`")
        given = filled(given, _PLACEHOLDER, lambda name: looked_up(environment, name), unknown)
        tasks += _tasks(source, given)
    unsaid += [f"the placeholder `{{{{{name}}}}}`, for which env.yaml has no value" for name in sorted(unknown)]
    return Imported(steps=tuple(_step(source, task, tasks) for task in tasks), unsaid=tuple(unsaid))


def _environment(source: SourceFile) -> dict[str, Any]:
    folder = source.folder or "."
    built_in = {"here": ".", "root": ".", "cwd": "."} if folder == "." else {"here": ".", "root": "."}
    file = source.sibling(source.at("env.yaml"))
    values = read_yaml(file) if file else {}
    own = values if isinstance(values, dict) else {}
    known = {**built_in, **{str(key): value for key, value in own.items()}}
    return {
        str(key): value
        for key, value in filled(known, _PLACEHOLDER, lambda name: looked_up(built_in, name), set()).items()
    }


def _tasks(source: SourceFile, given: dict[str, Any]) -> list[_Task]:
    """Make one task, or one for each combination of a grid."""
    grids = [grid for grid in items(given.get("grid")) if isinstance(grid, dict)]
    if not grids:
        return [_task(source, given, {}, "")]
    found: list[_Task] = []
    for grid in grids:
        names = [str(name) for name in grid]
        for values in combinations(*(items(value) for value in grid.values())):
            if len(found) >= _MOST_OF_A_GRID:
                raise UsageError(f"{source.path}: a grid has more than {_MOST_OF_A_GRID} combinations")
            cell = dict(zip(names, values, strict=True))
            number = "" if _IN_GRID.search(str(given.get("name"))) else f"-{len(found)}"
            found.append(_task(source, given, cell, number))
    return found


def _task(source: SourceFile, given: dict[str, Any], cell: Mapping[str, Any], number: str) -> _Task:
    has_cell = _IN_GRID.search(str(given.get("product"))) is not None
    # a grid leaves out what one of its tables does not have
    given = filled(given, _IN_GRID, lambda name: cell.get(name, ""), set()) if cell else given
    text = str(given["source"])
    name = str(given.get("name") or _name_of(text)) + number
    is_numbered = number and not has_cell
    stem = f"{{}}{number}" if is_numbered else "{}"
    product = given.get("product")
    unsaid = [f"`{key}`" for key in given if key not in _UNDERSTOOD | _HARMLESS]
    products: dict[str, str] = {}
    match product:
        case str():
            products = {"product": _numbered(product, stem)}
        case dict():
            products = {str(key): _numbered(str(path), stem) for key, path in product.items()}
        case None:
            pass
        case _:
            unsaid.append(f"its product {product!r}, which is not a file")
    parameters = given.get("params") or {}
    if not isinstance(parameters, dict):
        raise UsageError(f"{source.path}: the `params` of `{name}` are not a table of names and values")
    needs, takes = _code(source, text)
    declared = tuple(str(each) for each in items(given.get("upstream")))
    return _Task(
        name=name,
        source=text,
        products=products,
        is_single=isinstance(product, str),
        needs=tuple(dict.fromkeys((*declared, *needs))),
        parameters={**{str(key): value for key, value in parameters.items()}, **cell},
        unsaid=tuple(unsaid),
        takes=takes,
    )


def _numbered(path: str, stem: str) -> str:
    base, suffix = posixpath.splitext(path)
    return stem.format(base.replace("{", "{{").replace("}", "}}")) + suffix if stem != "{}" else path


def _name_of(text: str) -> str:
    return text.rsplit(".", 1)[-1] if _is_function(text) else posixpath.splitext(posixpath.basename(text))[0]


def _is_function(text: str) -> bool:
    return (
        "/" not in text
        and re.fullmatch(r"\w+(\.\w+)+", text) is not None
        and not text.endswith((*_NOTEBOOKS, ".sql", ".sh"))
    )


def _code(source: SourceFile, text: str) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """Return which tasks the code of a task needs, and the names of its parameters."""
    if _is_function(text):
        return _of_function(source, text)
    if text.endswith(_NOTEBOOKS):
        notebook = _notebook(source, text)
        if notebook is None:
            return (), None
        assigned = identify(notebook).parameters
        needs = tuple(_texts(parameters_of(notebook).get("upstream")))
        return needs, None if assigned is None else frozenset(assigned)
    file = source.sibling(source.at(text))
    return (tuple(a or b for a, b in _UPSTREAM_IN_TEXT.findall(file.text)) if file else ()), None


def _notebook(source: SourceFile, text: str) -> NotebookSource | None:
    file = source.sibling(source.at(text))
    if file is None:
        return None
    try:
        return read_notebook(file.text.encode(), file.path)
    except UnreadableNotebookError:
        return None


def _of_function(source: SourceFile, text: str) -> tuple[tuple[str, ...], frozenset[str] | None]:
    module, _, name = text.rpartition(".")
    for path in (f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"):
        file = source.sibling(source.at(path))
        if file is None:
            continue
        try:
            tree = ast.parse(file.text)
        except (SyntaxError, ValueError, RecursionError):
            return (), None
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                used = [
                    each.slice.value
                    for each in ast.walk(node)
                    if isinstance(each, ast.Subscript)
                    and isinstance(each.value, ast.Name)
                    and each.value.id == "upstream"
                    and isinstance(each.slice, ast.Constant)
                ]
                names = [item.arg for item in (*node.args.args, *node.args.kwonlyargs)]
                return tuple(map(str, used)), frozenset(names)
    return (), None


def _step(source: SourceFile, task: _Task, tasks: list[_Task]) -> Step:
    above = [
        other
        for pattern in task.needs
        for other in tasks
        if other is not task and (other.name == pattern or ("*" in pattern and fnmatchcase(other.name, pattern)))
    ]
    files = {other.name: _files(other) for other in above}
    copies = {path for path in task.products.values() if task.source.endswith(_NOTEBOOKS) and _is_copy(path)}
    upstream = {
        other.name: next(iter(other.products.values()), "") if other.is_single else dict(other.products)
        for other in above
    }
    product = next(iter(task.products.values()), "") if task.is_single else dict(task.products)
    own = {"upstream": upstream, "product": product}
    taken = {name: value for name, value in own.items() if task.takes is None or name in task.takes}
    dropped = [name for name in task.parameters if task.takes is not None and name not in task.takes]
    unsaid = [
        *task.unsaid,
        *(f"its parameter `{name}`, which its code does not have" for name in dropped),
        *(
            f"it needs `{name}`, which is no task of the file"
            for name in task.needs
            if not any(other.name == name or fnmatchcase(other.name, name) for other in tasks)
        ),
    ]
    step = Step(
        name=task.name,
        inputs=tuple(source.at(path) for paths in files.values() for path in paths),
        outputs={
            name if name.isidentifier() else f"product_{position}": source.at(path)
            for position, (name, path) in enumerate(task.products.items())
            if path not in copies
        },
        parameters={
            **{name: value for name, value in task.parameters.items() if name not in dropped},
            **{name: value for name, value in taken.items() if value not in ({}, "")},
        },
        after=tuple(name for name, paths in files.items() if not paths),
        workdir=source.folder,
    )
    return _worked(source, task, step, copies, unsaid)


def _files(task: _Task) -> list[str]:
    """Return the products that another task can read: all but copies of executed notebooks."""
    is_notebook = task.source.endswith(_NOTEBOOKS)
    return [path for path in task.products.values() if not (is_notebook and _is_copy(path))]


def _is_copy(path: str) -> bool:
    return path.endswith((".ipynb", ".html", ".pdf"))


def _worked(source: SourceFile, task: _Task, step: Step, copies: set[str], unsaid: list[str]) -> Step:
    """Add what the step runs."""
    path = source.at(task.source)
    if _is_function(task.source):
        if source.folder:
            unsaid.append(f"the module of `{task.source}` is looked up from the folder of pipeline.toml")
        unsaid.append("`product` and `upstream` are texts here, and `pathlib.Path` in Ploomber")
        module, _, name = task.source.rpartition(".")
        prefix = source.folder.replace("/", ".") + "." if source.folder else ""
        return replace(step, function=f"{prefix}{module}:{name}", workdir="", unsaid=tuple(unsaid))
    if task.source.endswith(_NOTEBOOKS):
        kept = next((copy for copy in sorted(copies, reverse=True) if copy.endswith((".ipynb", ".html"))), "")
        unsaid += [f"its product `{copy}`, a copy of the executed notebook" for copy in sorted(copies - {kept})]
        if not source.has(path):
            unsaid.append(f"`{path}` is not there")
        return replace(
            step,
            notebook=path,
            notebook_output=source.at(kept) if kept else "",
            unsaid=tuple(unsaid),
            is_comment=not source.has(path),
        )
    script = source.sibling(path)
    if script is None or not task.source.endswith((".sh", ".bash")):
        unsaid.append(f"its source `{task.source}`, which is neither a notebook, a function nor a shell script")
        return replace(step, command=f"echo {task.source}", parameters={}, unsaid=tuple(unsaid), is_comment=True)
    values = {
        "product": _spelled(step.parameters.get("product")),
        **_flat("product", step.parameters.get("product")),
    }
    values |= _flat("upstream", step.parameters.get("upstream"))
    unknown: set[str] = set()
    pattern = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
    text = filled(script.text, pattern, lambda name: values[_key(name)], unknown)
    unsaid += [f"the placeholder `{{{{{name}}}}}` of `{path}`" for name in sorted(unknown)]
    unsaid.append(f"the text of `{path}` is the command now, with its placeholders filled")
    return replace(step, command=str(text), parameters={}, unsaid=tuple(unsaid), is_comment=bool(unknown))


def _flat(name: str, value: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    if isinstance(value, Mapping):
        for key, item in value.items():
            found[f"{name}.{key}"] = _spelled(item)
            found |= _flat(f"{name}.{key}", item)
    return found


def _key(name: str) -> str:
    """Spell ``upstream["a"]["b"]`` as ``upstream.a.b``."""
    return ".".join(re.findall(r"[^\[\]'\".\s]+", name))


def _spelled(value: Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, Mapping) else str(value or "")


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [item for item in value if isinstance(item, str)]
        case dict():
            return [str(key) for key in value]
        case _:
            return []
