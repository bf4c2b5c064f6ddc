"""Find dependencies in notebook code: files that one step writes and another reads."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from nbmake_dag.config.paths import PathError, read_pattern, written_path
from nbmake_dag.config.values import name_fault, value_fault
from nbmake_dag.core.globs import is_glob, matches, unescaped
from nbmake_dag.scaffold.file_uses import FileUse, file_uses
from nbmake_dag.scaffold.imports.steps import SourceFile, Step, plain
from nbmake_dag.scaffold.literals import trees_of
from nbmake_dag.scaffold.reading import Paths, exists
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import Cell, NotebookSource, UnreadableNotebookError, read_notebook


def with_code(source: SourceFile, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Look at the notebooks of steps: their parameters, and, where that is asked for, the files that they name."""
    looked = [_with_parameters(source, step) for step in steps]
    uses = [_uses(source, step) if step.reads_code else () for step in looked]
    reads = [_paths(step, found, "read") for step, found in zip(looked, uses, strict=True)]
    writes = [_paths(step, found, "write") for step, found in zip(looked, uses, strict=True)]
    declared = [set(plain(step.outputs)) for step in looked]
    writers = Counter(path for mine, own in zip(writes, declared, strict=True) for path in {*mine, *own})
    wanted = [path for step, mine in zip(looked, reads, strict=True) for path in (*mine, *plain(step.inputs))]
    copies = {step.notebook_output for step in looked}
    outputs = [
        tuple(
            path
            for path in mine
            if writers[path] == 1
            and path not in own
            and path not in copies
            and any(_provides(path, one) for one in wanted)
        )
        for mine, own in zip(writes, declared, strict=True)
    ]
    made = {path for mine in outputs for path in mine} | set().union(*declared)
    return tuple(
        replace(
            step,
            inputs=_more(step.inputs, _inputs(source, mine, own, made)),
            outputs=_more(step.outputs, out),
        )
        for step, mine, own, out in zip(looked, reads, writes, outputs, strict=True)
    )


def _inputs(source: SourceFile, reads: Sequence[str], writes: Sequence[str], made: set[str]) -> tuple[str, ...]:
    return tuple(
        path
        for path in reads
        if not any(_provides(own, path) for own in writes)
        and (exists(source.root, path) or any(_provides(one, path) for one in made))
    )


def _provides(written: str, read: str) -> bool:
    return matches(read, unescaped(written)) if is_glob(read) else read == written


def _more(paths: Paths, found: Sequence[str]) -> Paths:
    new = [path for path in found if path not in plain(paths)]
    if not new:
        return paths
    return (*plain(paths), *new)


def _with_parameters(source: SourceFile, step: Step) -> Step:
    """Leave out parameters that the notebook does not have: there they would be an error."""
    notebook = _notebook(source, step)
    if notebook is None:
        return step
    step = replace(step, own_kernel=notebook.kernel or "", language=notebook.language or "python")
    assigned = identify(notebook).parameters
    if assigned is None:
        return step
    dropped = [name for name in step.parameters if name not in assigned]
    unsaid = [
        f"its parameter `{name}`, which the cell tagged `parameters` does not assign ({step.parameters[name]})"
        for name in dropped
    ]
    kept = {name: value for name, value in step.parameters.items() if name in assigned}
    return replace(step, parameters=kept, unsaid=(*step.unsaid, *unsaid))


def _notebook(source: SourceFile, step: Step) -> NotebookSource | None:
    if not step.notebook or step.is_comment:
        return None
    file = source.sibling(step.notebook)
    if file is None:
        return None
    try:
        return read_notebook(file.text.encode(), step.notebook)
    except UnreadableNotebookError:
        return None


def _uses(source: SourceFile, step: Step) -> tuple[FileUse, ...]:
    """Return the files that a notebook names when it runs with the parameters of a step."""
    notebook = _notebook(source, step)
    if notebook is None:
        return ()
    index = notebook.parameters_index
    position = 0 if index is None else index + 1
    values = {k: v for k, v in step.parameters.items() if not name_fault(k) and not value_fault(v)}
    injected = Cell(kind="code", source="\n".join(f"{name} = {value!r}" for name, value in values.items()))
    cells = (*notebook.cells[:position], injected, *notebook.cells[position:])
    return file_uses(trees_of(NotebookSource(language=notebook.language, kernel=notebook.kernel, cells=cells)))


def _paths(step: Step, uses: Sequence[FileUse], mode: str) -> tuple[str, ...]:
    check = read_pattern if mode == "read" else written_path
    found: dict[str, None] = {}
    for use in uses:
        if use.mode != mode:
            continue
        try:
            path = check(posixpath.join(step.workdir, use.path))
        except PathError:
            continue
        if not path.startswith("../") and path != "./" and "{" not in path and "}" not in path:
            found[path] = None
    return tuple(found)
