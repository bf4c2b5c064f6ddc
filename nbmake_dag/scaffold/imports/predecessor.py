"""Drivers of pynb_dag_runner (composable-logs): notebook tasks, and which of them run in sequence."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.follow import Follower
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step
from nbmake_dag.scaffold.known_calls import UNKNOWN, NotLiteralError
from nbmake_dag.scaffold.literals import Literals

_MAKERS = frozenset({"make_jupytext_task", "make_jupytext_task_ot", "make_notebook_task"})
_NOTEBOOKS = frozenset({"JupytextNotebook", "JupyterIpynbNotebook"})
_MARK = "\0task "


class _Task(msgspec.Struct, kw_only=True):
    notebook: str
    parameters: dict[str, Any]
    timeout: str
    retries: int
    unsaid: list[str] = []
    above: list[int] = []


def read_predecessor(source: SourceFile) -> Imported:
    """Read the tasks of a driver; raises `UsageError` for one that makes none."""
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        raise UsageError(f"{source.place(error.lineno)} is not Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{source.path} is not Python: {error}") from error
    choices = _Choices(source)
    tree = choices.visit(tree)
    driver = _Driver(source)
    variables = Literals(calls=driver.evaluated)
    variables.bind("__file__", source.path)
    driver.follow(tree.body, variables)
    driver.follow_uncalled(variables)
    if not driver.tasks:
        raise UsageError(
            f"{source.path} makes no notebook task that can be seen",
            (),
            "calls of `make_jupytext_task` and `make_jupytext_task_ot` are read",
        )
    names = _names(driver.tasks)
    steps = [_step(source, task, name, names) for task, name in zip(driver.tasks, names, strict=True)]
    return Imported(steps=tuple(steps), unsaid=(*choices.unsaid, *driver.unsaid))


def _step(source: SourceFile, task: _Task, name: str, names: list[str]) -> Step:
    step = Step(
        name=name,
        notebook=task.notebook,
        parameters={"P": task.parameters} if task.parameters else {},
        after=tuple(dict.fromkeys(names[number] for number in task.above)),
        timeout=task.timeout,
        retries=task.retries,
        reads_code=True,
        unsaid=tuple(task.unsaid),
    )
    if not source.has(task.notebook):
        return replace(step, unsaid=(*step.unsaid, f"`{task.notebook}` is not there"), is_comment=True)
    return step


def _names(tasks: Iterable[_Task]) -> list[str]:
    """Name tasks by their notebooks, and the values that tell tasks of one notebook apart."""
    tasks = list(tasks)
    names: list[str] = []
    for task in tasks:
        same = [other for other in tasks if other.notebook == task.notebook]
        own = [
            str(value)
            for key, value in task.parameters.items()
            if any(other.parameters.get(key) != value for other in same)
        ]
        stem = posixpath.splitext(posixpath.basename(task.notebook))[0]
        name = candidate = "-".join((stem, *own))
        number = 2
        while candidate in names:
            candidate, number = f"{name}-{number}", number + 1
        names.append(candidate)
    return names


class _Choices(ast.NodeTransformer):
    """Takes the first of the values that a driver chooses from by what only running tells."""

    def __init__(self, source: SourceFile) -> None:
        self.unsaid: list[str] = []
        self._source = source

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        match node.value, node.slice:
            case ast.Dict(keys=[ast.Constant(value=first), *_], values=[value, *_]), index if not isinstance(
                index, ast.Constant
            ):
                place = self._source.place(node.lineno)
                self.unsaid.append(
                    f"the choice by `{ast.unparse(index)}` ({place}): the values for {first!r} are written"
                )
                return value
            case _:
                self.generic_visit(node)
                return node


class _Driver(Follower):
    """Makes a task of each call that makes one, and notes which run after which."""

    def __init__(self, source: SourceFile) -> None:
        super().__init__()
        self.tasks: list[_Task] = []
        self.unsaid: list[str] = []
        self._source = source
        self._made: dict[tuple[int, str], str] = {}

    def note(self, call: ast.Call, variables: Literals) -> None:
        name = _called(call)
        if name not in {"run_in_sequence", "fan_in", "fan_out"}:
            return
        try:
            groups = [self._numbers(variables.evaluate(argument)) for argument in call.args]
        except NotLiteralError:
            place = self._source.place(call.lineno)
            self.unsaid.append(f"an order of tasks that only running tells: `{ast.unparse(call)[:100]}` ({place})")
            return
        for before, after in pairwise(groups):
            for number in after:
                self.tasks[number].above += before

    def evaluated(self, call: ast.Call, variables: Literals) -> Any:
        """Evaluate calls that make a task or a notebook, and functions of the driver that do; else ``None``."""
        name = _called(call)
        if name in _NOTEBOOKS and call.args:
            return variables.evaluate(call.args[0])
        known = variables.known.get(name)
        if isinstance(known, ast.FunctionDef):
            return self._of_function(known, call, variables)
        if name in _MAKERS:
            return self._task(call, variables)
        return None

    def _of_function(self, function: ast.FunctionDef, call: ast.Call, variables: Literals) -> Any:
        calls = (each for each in ast.walk(function) if isinstance(each, ast.Call))
        if variables.is_deep or not any(_called(each) in _MAKERS for each in calls):
            return None
        inner = variables.called(function, call)
        for statement in function.body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                return inner.evaluate(statement.value)
            self.follow([statement], inner)
        return None

    def _task(self, call: ast.Call, variables: Literals) -> str:
        given = {item.arg: item.value for item in call.keywords if item.arg}
        notebook = variables.evaluate(given["notebook"] if "notebook" in given else call.args[0])
        unsaid: list[str] = []
        parameters = self._parameters(given.get("parameters"), variables, unsaid)
        timeout = self._number(given.get("timeout_s"), variables)
        attempts = self._number(given.get("max_nr_retries") or given.get("n_max_retries"), variables)
        task = _Task(
            notebook=posixpath.normpath(str(notebook)),
            parameters=parameters,
            timeout=f"{timeout}s" if timeout else "",
            retries=max((attempts or 1) - 1, 0),
            unsaid=unsaid,
        )
        # an expression may be looked at more than once: it makes one task for each set of values
        key = (call.lineno, f"{task.notebook} {task.parameters} {len(variables.known)}")
        if key not in self._made:
            self._made[key] = f"{_MARK}{len(self.tasks)}"
            self.tasks.append(task)
        return self._made[key]

    def _parameters(self, given: ast.expr | None, variables: Literals, unsaid: list[str]) -> dict[str, Any]:
        match given:
            case None:
                return {}
            case ast.Dict(keys=keys, values=values):
                found: dict[str, Any] = {}
                for key, value in zip(keys, values, strict=True):
                    if key is None:
                        found |= self._parameters(value, variables, unsaid)
                    elif isinstance(key, ast.Constant):
                        try:
                            found[str(key.value)] = variables.evaluate(value)
                        except NotLiteralError:
                            unsaid.append(f"its parameter {key.value!r}, which only running tells")
                return found
            case _:
                try:
                    value = variables.evaluate(given)
                except NotLiteralError:
                    unsaid.append(f"the parameters of `{ast.unparse(given)[:60]}`, which only running tells")
                    return {}
                known = dict(value) if isinstance(value, dict) else {}
                lost = [name for name, item in known.items() if item is UNKNOWN]
                unsaid += [f"its parameter {name!r}, which only running tells" for name in lost]
                return {name: item for name, item in known.items() if name not in lost}

    def _number(self, given: ast.expr | None, variables: Literals) -> int:
        try:
            value = variables.evaluate(given) if given is not None else 0
        except NotLiteralError:
            return 0
        return int(value) if isinstance(value, int | float) and 0 < value < 10**7 else 0

    def _numbers(self, value: Any) -> list[int]:
        match value:
            case str() if value.startswith(_MARK):
                return [int(value.removeprefix(_MARK))]
            case list():
                return [number for item in value for number in self._numbers(item)]
            case _:
                raise NotLiteralError("no task")


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
