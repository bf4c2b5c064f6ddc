"""The values of a notebook's expressions, as far as its text determines them."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from nbmake_dag.scaffold.known_calls import (
    BUILTINS,
    UNKNOWN,
    Namespace,
    NotLiteralError,
    attribute_of,
    formatted,
    method_of,
    parent,
    percent,
)
from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.notebook import NotebookSource

_LONGEST = 4096
"""Characters of a text, and items of a list, that are still followed."""
_DEEPEST = 4
"""Calls within calls that are followed."""
_BUDGET = 1_000_000
"""Parts of the code of one notebook that are looked at, those of a loop as often as it is followed."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Calls: TypeAlias = Callable[[ast.Call, "Literals"], Any]
"""Evaluates calls that a tool gives a meaning; ``None`` for those that it does not know."""


def trees_of(notebook: NotebookSource) -> list[ast.Module]:
    """Parse the cells of a Python notebook; those of other languages, and what does not parse, are left out."""
    if notebook.language != "python":
        return []
    cells = (executable(cell.source) for cell in notebook.cells if cell.is_executed)
    return [tree for cell in cells for _, tree in cell.modules]


def parameters_of(notebook: NotebookSource) -> dict[str, Any]:
    """Return the values that the parameters cell of a Python notebook assigns, as far as its text shows them."""
    values = Literals()
    index = notebook.parameters_index
    if index is None or notebook.language != "python":
        return values.known
    tree = executable(notebook.cells[index].source).tree
    for statement in tree.body if tree else ():
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    values.assign(target, value)
            case ast.AnnAssign(target=target, value=value):
                values.assign(target, value)
            case _:
                pass
    return {name: value for name, value in values.known.items() if not isinstance(value, ast.AST | Namespace)}


def parameters_of_function(function: Function) -> list[str]:
    """Return the names of all parameters, those by position first."""
    arguments = function.args
    return [item.arg for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


class Literals:
    """The variables of a notebook at one point of its code, as far as the text shows their values."""

    def __init__(self, variables: Mapping[str, Any] | None = None, calls: Calls | None = None) -> None:
        self._variables = dict(variables or {})
        self._calls = calls
        self._depth = 0
        self._left = [_BUDGET]

    @property
    def known(self) -> dict[str, Any]:
        return dict(self._variables)

    def copy(self) -> Literals:
        return self._inner(self._depth)

    def _inner(self, depth: int) -> Literals:
        found = Literals(self._variables, self._calls)
        found._depth, found._left = depth, self._left
        return found

    def assign(self, target: ast.expr, value: ast.expr | None) -> None:
        """Note an assignment; the value of what cannot be evaluated is unknown from here on."""
        found: Any = None
        is_known = False
        if value is not None:
            with suppress(NotLiteralError):
                found, is_known = self.evaluate(value), True
        match target, value:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if not is_known and len(targets) == len(values):
                before = self.copy()
                for one, its in zip(targets, values, strict=True):
                    try:
                        self.unpack(one, before.evaluate(its))
                    except NotLiteralError:
                        self.forget(one)
            case _ if is_known:
                self.unpack(target, found)
            case _:
                self.forget(target)

    def unpack(self, target: ast.expr, value: Any) -> None:
        """Give a value to what an assignment or a loop names."""
        if isinstance(value, Namespace) and isinstance(target, ast.Tuple | ast.List):
            value = [item for key, item in value.items() if isinstance(key, int)]
        match target:
            case ast.Name(id=name) if value is not UNKNOWN:
                self.bind(name, value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets) if isinstance(value, list) and len(
                targets
            ) == len(value):
                for one, its in zip(targets, value, strict=True):
                    self.unpack(one, its)
            case ast.Subscript(value=ast.Name(id=name), slice=index) if self._is_table(name):
                try:
                    self.bind(name, {**self._variables[name], self._text(index): value})
                except NotLiteralError:
                    self.forget(target)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if self._is_table(name):
                self.bind(name, Namespace({**self._variables[name], attribute: value}))
            case _:
                self.forget(target)

    def forget(self, target: ast.AST) -> None:
        """Give up every variable that an expression names: it changes in an unknown way."""
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self._variables.pop(node.id, None)

    def bind(self, name: str, value: Any) -> None:
        """Give a variable a value."""
        self._variables[name] = value

    def drop(self, names: Iterable[str]) -> None:
        """Give up variables by name."""
        for name in names:
            self._variables.pop(name, None)

    def agree(self, other: Literals) -> None:
        """Forget what differs from other variables, as after the branches of an `if`."""
        self._variables = {
            name: value for name, value in self._variables.items() if other._variables.get(name) == value
        }

    def get(self, name: str) -> Any:
        """Return the value of a variable; raises `NotLiteralError`."""
        if name not in self._variables:
            raise NotLiteralError(name)
        return self._variables[name]

    def evaluate(self, expression: ast.expr) -> Any:
        """Return a string, number, list or dictionary; a path is a string. Raises `NotLiteralError`."""
        self.spend(1)
        try:
            value = self._evaluate(expression)
        except NotLiteralError:
            raise
        except (RecursionError, LookupError, TypeError, ValueError, OverflowError):
            raise NotLiteralError("not such a value") from None
        if value is UNKNOWN:
            raise NotLiteralError("not known")
        if isinstance(value, str | list | dict) and len(value) > _LONGEST:
            raise NotLiteralError("too long")
        return value

    def _part(self, expression: ast.expr) -> Any:
        """Evaluate an item of a list or table, which may be unknown without making all of it unknown."""
        try:
            return self.evaluate(expression)
        except NotLiteralError:
            return UNKNOWN

    def spend(self, steps: int) -> None:
        """Count what is followed; raises `NotLiteralError` when it has been too much."""
        self._left[0] -= steps
        if self._left[0] < 0:
            raise NotLiteralError("too much to follow")

    def _evaluate(self, expression: ast.expr) -> Any:  # noqa: C901, PLR0911, PLR0912 - a case for each kind of expression
        match expression:
            case ast.Constant(value=str() | int() | float() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Name(id=name):
                return self.get(name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self._part(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {self._text(key): self._part(value) for key, value in zip(keys, values, strict=True)}
            case ast.JoinedStr(values=parts):
                return "".join(str(self.evaluate(part)) for part in parts)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.evaluate(value)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=ast.JoinedStr() as spec):
                return formatted("{:" + self._text(spec) + "}", [self.evaluate(value)], {})
            case ast.Subscript(value=value, slice=index):
                return self._item(self.evaluate(value), self.evaluate(index))
            case ast.Attribute(value=ast.Name(id="os"), attr="sep" | "pardir" | "curdir" as name):
                return {"sep": "/", "pardir": "..", "curdir": "."}[name]
            case ast.Attribute(value=owner, attr=attribute):
                return attribute_of(self.evaluate(owner), attribute)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._join((left, right))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._sum(self.evaluate(left), self.evaluate(right))
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return percent(self._text(left), self.evaluate(right))
            case ast.ListComp(elt=item, generators=[ast.comprehension(ifs=[]) as each]):
                return [scope.evaluate(item) for scope in self.items(each.target, each.iter)]
            case ast.Lambda():
                return expression
            case ast.Call() if self._calls is not None and (found := self._calls(expression, self)) is not None:
                return found
            case ast.Call(func=ast.Name(id=function) | ast.Attribute(attr=function)):
                return self._call(expression, function)
            case _:
                raise NotLiteralError(type(expression).__name__)

    def items(self, target: ast.expr, iterated: ast.expr) -> list[Literals]:
        """Return the variables for each item of a loop; raises `NotLiteralError`."""
        found = self.evaluate(iterated)
        if not isinstance(found, list | dict):
            raise NotLiteralError("not a list")
        self.spend(10 * len(found))
        scopes: list[Literals] = []
        for item in found:
            scope = self.copy()
            scope.unpack(target, item)
            scopes.append(scope)
        return scopes

    def called(self, function: Function, call: ast.Call) -> Literals:
        """Return the variables at the beginning of a function, with the arguments of a call that are known."""
        inner = self._inner(self._depth + 1)
        inner.drop(parameters_of_function(function))
        names = [item.arg for item in (*function.args.posonlyargs, *function.args.args)]
        defaults = zip(reversed(names), reversed(function.args.defaults), strict=False)
        keywords = zip((item.arg for item in function.args.kwonlyargs), function.args.kw_defaults, strict=True)
        given = [(item.arg, item.value) for item in call.keywords]
        for name, value in [*defaults, *keywords, *zip(names, call.args, strict=False), *given]:
            if name is not None and value is not None:
                try:
                    inner.bind(name, self.evaluate(value))
                except NotLiteralError:
                    inner.drop([name])
        return inner

    @property
    def is_deep(self) -> bool:
        """Whether no further call is followed."""
        return self._depth >= _DEEPEST

    def _call(self, call: ast.Call, function: str) -> Any:  # noqa: C901, PLR0911, PLR0912 - a case for each function
        match call.func, call.args:
            case ast.Name(id=name), _ if name in self._variables:
                return self._own(self._variables[name], call)
            case ast.Attribute(attr="format"), arguments:
                named = {item.arg or "": self.evaluate(item.value) for item in call.keywords}
                return formatted(self._owner(call), [self.evaluate(item) for item in arguments], named)
            case ast.Name(id="dict" | "SimpleNamespace" | "Namespace" as kind), []:
                values = {item.arg or "": self.evaluate(item.value) for item in call.keywords}
                return values if kind == "dict" else Namespace(values)
            case _ if call.keywords:
                raise NotLiteralError(function)
            case _, [_, *_] if function in {"Path", "PurePath", "PosixPath", "join"} and not self._is_text(call):
                return self._join(call.args)
            case _, [] if function in {"Path", "cwd", "getcwd"}:
                return "."
            case _, [only] if function in {"abspath", "normpath", "realpath", "fspath", "str"}:
                return self._text(only)
            case ast.Name(id="str"), []:
                return ""
            case ast.Attribute(value=ast.Attribute(attr="path")), [only] if function in {"dirname", "basename"}:
                cut = posixpath.dirname if function == "dirname" else posixpath.basename
                found = self._text(only)
                return parent(found) if function == "dirname" and found in {".", ".."} else cut(found)
            case ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"), [_, default]:
                return self._text(default)
            case ast.Attribute(attr="getenv"), [_, default]:
                return self._text(default)
            case ast.Attribute(value=owner), arguments:
                return method_of(self.evaluate(owner), function, [self.evaluate(item) for item in arguments])
            case ast.Name(id="zip"), arguments if arguments:
                return self._zipped([self._part(item) for item in arguments])
            case ast.Name(), arguments if function in BUILTINS:
                return BUILTINS[function](*(self.evaluate(item) for item in arguments))
            case _:
                raise NotLiteralError(function)

    def _zipped(self, lists: list[Any]) -> list[Any]:
        """Join lists item by item; one that is not known has unknown items."""
        lengths = [len(found) for found in lists if isinstance(found, list)]
        if not lengths:
            raise NotLiteralError("no list")
        filled = [found if isinstance(found, list) else [UNKNOWN] * min(lengths) for found in lists]
        return [list(row) for row in zip(*filled, strict=False)]

    def _own(self, function: Any, call: ast.Call) -> Any:
        """Evaluate the call of a function that only returns an expression, or of a class of constants."""
        if isinstance(function, Namespace):
            return function
        if self.is_deep:
            raise NotLiteralError("nested too deep")
        match function:
            case ast.Lambda(body=body):
                return self.called(function, call).evaluate(body)
            case ast.FunctionDef(body=[ast.Return(value=ast.expr() as value)]):
                return self.called(function, call).evaluate(value)
            case ast.FunctionDef(body=[ast.Expr(value=ast.Constant()), ast.Return(value=ast.expr() as value)]):
                return self.called(function, call).evaluate(value)
            case _:
                raise NotLiteralError("a function of statements")

    def _sum(self, left: Any, right: Any) -> Any:
        if isinstance(left, str) and isinstance(right, str):
            return left + right
        if isinstance(left, list) and isinstance(right, list):
            return [*left, *right]
        raise NotLiteralError("not a string")

    def _join(self, parts: Sequence[ast.expr]) -> str:
        return posixpath.join(*(self._text(part) for part in parts))

    def _text(self, expression: ast.expr | None) -> str:
        value = None if expression is None else self.evaluate(expression)
        if not isinstance(value, str):
            raise NotLiteralError("not a string")
        return value

    def _owner(self, call: ast.Call) -> str:
        return self._text(call.func.value if isinstance(call.func, ast.Attribute) else None)

    def _is_text(self, call: ast.Call) -> bool:
        """Return whether a method is that of a text, as in ``"/".join(parts)``."""
        with suppress(NotLiteralError):
            return bool(self._owner(call)) or True
        return False

    def _is_table(self, name: str) -> bool:
        return isinstance(self._variables.get(name), dict)

    def _item(self, value: Any, index: Any) -> Any:
        if not isinstance(value, list | dict):
            raise NotLiteralError("not a list")
        return value[index]
