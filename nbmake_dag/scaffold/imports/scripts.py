"""Shell and Python scripts that execute notebooks one after the other."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.follow import Follower
from nbmake_dag.scaffold.imports.papermill_calls import NotebookRun, run_of, says_all, step_of_run
from nbmake_dag.scaffold.imports.shell_lines import lines_of
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step
from nbmake_dag.scaffold.known_calls import UNKNOWN, NotLiteralError
from nbmake_dag.scaffold.literals import Literals

_UNKNOWN = object()
_SAID = frozenset({"kernel_name", "cwd", "log_output", "progress_bar"})
_IN_ORDER = "which notebooks need each other: each comes `after` the one before it, as in the script"


def read_shell(source: SourceFile) -> Imported:
    """Read a shell script; raises `UsageError` for one that executes no notebook."""
    steps: list[Step] = []
    unsaid: list[str] = []
    folder = _start(source)
    for line in lines_of(source.text, {}, partial(source.matching, folder=folder)):
        place = source.place(line.number)
        if line.words[0] == "cd":
            if len(line.words) != 2 or not line.is_known or line.is_conditional:
                unsaid.append(f"{place}: a move to another folder (`{' '.join(line.words)}`)")
            else:
                folder = source.at(line.words[1], folder)
            continue
        run = run_of(line.words, source, folder)
        if run is None:
            continue
        step = step_of_run(source, _name(run), run, "" if folder == "." else folder)
        reasons = [*step.unsaid]
        if line.is_conditional:
            reasons.append(f"that it runs only if something holds ({place})")
        if not says_all(line, run):
            reasons.append(f"a value that only running tells: `{' '.join(line.words)}` ({place})")
        steps.append(replace(step, unsaid=tuple(reasons), is_comment=step.is_comment or not says_all(line, run)))
    if not steps:
        raise UsageError(
            f"{source.path} executes no notebook that can be seen",
            (),
            "lines that begin with `papermill`, `jupyter nbconvert --execute` or `jupyter execute` are read",
        )
    return Imported(steps=in_order(steps), unsaid=(*unsaid, _IN_ORDER))


def read_python(source: SourceFile) -> Imported:
    """Read the calls of ``papermill.execute_notebook`` in a script; raises `UsageError` for one without."""
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        raise UsageError(f"{source.place(error.lineno)} is not Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{source.path} is not Python: {error}") from error
    calls = _Calls()
    variables = Literals()
    calls.follow(tree.body, variables)
    calls.follow_uncalled(variables)
    steps: list[Step] = []
    folder = _start(source)
    for line, run in calls.found:
        if run is None:
            named = Step(name=f"line-{line}", command="true", is_comment=True)
            reason = f"a notebook whose name only running tells ({source.place(line)})"
            steps.append(replace(named, unsaid=(reason,)))
        else:
            steps.append(step_of_run(source, _name(run), run, folder))
    if not steps:
        raise UsageError(
            f"{source.path} executes no notebook that can be seen",
            (),
            "calls of papermill's `execute_notebook` are read, and tasks of pynb_dag_runner",
        )
    return Imported(steps=in_order(steps), unsaid=(_IN_ORDER,))


def in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Have each step come after the one before it."""
    names = _distinct(steps)
    done: list[Step] = []
    before = ""
    for step, name in zip(steps, names, strict=True):
        done.append(replace(step, name=name, after=(before,) if before else ()))
        before = before if step.is_comment else name
    return tuple(done)


def _distinct(steps: Iterable[Step]) -> list[str]:
    names: list[str] = []
    for step in steps:
        number, name = 2, step.name
        while name in names:
            name, number = f"{step.name}-{number}", number + 1
        names.append(name)
    return names


def _name(run: NotebookRun) -> str:
    """Name a step by its copy, where one notebook is executed often, else by the notebook."""
    path = run.output if run.output and run.parameters else run.notebook
    return posixpath.splitext(posixpath.basename(path))[0]


def _start(source: SourceFile) -> str:
    """Guess where a script starts: in its own folder if a notebook that it names is there, else in the project."""
    names = [word for word in source.text.replace('"', " ").replace("'", " ").split() if word.endswith(".ipynb")]
    own = sum(source.has(source.at(name)) for name in names)
    return source.folder if own > sum(source.has(source.at(name, "")) for name in names) else ""


class _Calls(Follower):
    """Finds the calls that execute notebooks, each as often as a loop makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, NotebookRun | None]] = []

    def note(self, call: ast.Call, variables: Literals) -> None:
        match call.func:
            case ast.Attribute(attr="execute_notebook") | ast.Name(id="execute_notebook"):
                self.found.append((call.lineno, _run(call, variables)))
            case _:
                pass


def _run(call: ast.Call, variables: Literals) -> NotebookRun | None:
    names = ("input_path", "output_path", "parameters")
    given = dict(zip(names, call.args, strict=False))
    given |= {item.arg: item.value for item in call.keywords if item.arg}
    unsaid = [
        f"`{name}`" for name in given if name not in {*names, "kernel_name", "cwd", "log_output", "progress_bar"}
    ]

    def value(name: str) -> Any:
        try:
            return variables.evaluate(given[name]) if name in given else ""
        except NotLiteralError:
            unsaid.append(f"its {name}, which only running tells: `{ast.unparse(given[name])[:100]}`")
            return _UNKNOWN

    notebook = value("input_path")
    if not isinstance(notebook, str) or not notebook:
        return None
    parameters: dict[str, Any] = {}
    pairs: list[tuple[str, ast.expr]] = []
    match given.get("parameters"):
        case ast.Dict(keys=keys, values=values):
            pairs = [
                (str(key.value), item)
                for key, item in zip(keys, values, strict=True)
                if isinstance(key, ast.Constant)
            ]
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            pairs = [(item.arg or "", item.value) for item in keywords]
        case _:
            found = value("parameters")
            known = found if isinstance(found, dict) else {}
            unsaid += [
                f"its parameter `{name}`, which only running tells" for name in known if known[name] is UNKNOWN
            ]
            parameters = {name: item for name, item in known.items() if item is not UNKNOWN}
    for name, item in pairs:
        try:
            parameters[name] = variables.evaluate(item)
        except NotLiteralError:
            unsaid.append(f"its parameter `{name}`, which only running tells: `{ast.unparse(item)[:100]}`")
    texts = {
        name: found if isinstance(found := value(name), str) else ""
        for name in ("output_path", "kernel_name", "cwd")
    }
    return NotebookRun(
        notebook=notebook,
        output=texts["output_path"],
        parameters=parameters,
        kernel=texts["kernel_name"],
        cwd=texts["cwd"],
        unsaid=tuple(unsaid),
    )
