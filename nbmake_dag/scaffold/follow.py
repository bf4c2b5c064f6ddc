"""Code followed without running it, as far as its text determines the values of its variables."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeAlias

from nbmake_dag.scaffold.known_calls import Namespace, NotLiteralError
from nbmake_dag.scaffold.literals import Function, Literals, parameters_of_function

_MOST_ITEMS = 50
"""Items of a list over which a loop is followed."""
_CHANGES = frozenset({"clear", "extend", "insert", "pop", "remove", "reverse", "setdefault", "sort", "update"})


FindModule: TypeAlias = Callable[[str], tuple[str, ast.Module] | None]
"""Finds a module of the project by its dotted name; its path is relative to the folder of the notebook."""


class Follower:
    """Follows code statement by statement, and calls of functions that it defines with their arguments.

    A subclass notes what the calls do, with the variables as they are then.
    """

    def __init__(self, find: FindModule | None = None) -> None:
        self._find = find
        self._functions: dict[str, Function] = {}
        self._uncalled: dict[int, Function] = {}
        self.folder: str | None = ""
        """Where the code is, relative to where it began; ``None`` after a move to an unknown place."""
        self.home: str | None = None
        """Where it wants to be, and moves to if it is elsewhere: a move that depends on something."""
        self._conditions = 0

    def note(self, call: ast.Call, variables: Literals) -> None:
        """Note what a call does; not called for functions that the code defines."""

    def follow(self, statements: Iterable[ast.stmt], variables: Literals) -> None:
        for statement in statements:
            # what is nested too deep, or leads too far, is left
            with suppress(RecursionError, NotLiteralError):
                variables.spend(1)
                self._follow(statement, variables)

    def follow_uncalled(self, variables: Literals) -> None:
        """Follow the functions that no call led to: their own names of files count, with any arguments."""
        while self._uncalled:
            _, function = self._uncalled.popitem()
            inner = variables.copy()
            inner.drop(parameters_of_function(function))
            self._enter(function, inner)

    def _follow(  # noqa: C901, PLR0912 - a case for each kind of statement
        self, statement: ast.stmt, variables: Literals
    ) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._define(name, statement, variables)
            case ast.ClassDef(name=name, body=body):
                inner = variables.copy()
                self.follow(body, inner)
                before = variables.known
                variables.bind(
                    name, Namespace({key: value for key, value in inner.known.items() if before.get(key) != value})
                )
            case ast.If(test=test, body=body, orelse=orelse):
                self._look(test, variables)
                self._conditions += 1
                self._branches([body, orelse], variables)
                self._conditions -= 1
            case ast.Match(subject=subject, cases=cases):
                self._look(subject, variables)
                self._branches([[], *(case.body for case in cases)], variables)
            case (
                ast.For(target=target, iter=iterated, body=body, orelse=orelse)
                | ast.AsyncFor(target=target, iter=iterated, body=body, orelse=orelse)
            ):
                self._look(iterated, variables)
                self._repeat(target, iterated, body, variables)
                self.follow(orelse, variables)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    self._look(item.context_expr, variables)
                    if item.optional_vars is not None:
                        variables.assign(item.optional_vars, None)
                self.follow(body, variables)
            case ast.While(test=test, body=body, orelse=orelse):
                self._look(test, variables)
                self._branches([[], body], variables)
                self.follow(orelse, variables)
            case (
                ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final)
                | ast.TryStar(body=body, handlers=handlers, orelse=orelse, finalbody=final)
            ):
                self.follow(body, variables)
                self._branches([orelse, *(handler.body for handler in handlers)], variables)
                self.follow(final, variables)
            case ast.Assign(targets=targets, value=value):
                self._look(value, variables)
                for target in targets:
                    variables.assign(target, value)
            case ast.AnnAssign(target=target, value=value):
                self._look(value, variables)
                variables.assign(target, value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                self._look(value, variables)
                variables.assign(target, ast.BinOp(left=ast.Name(id=name), op=op, right=value))
            case ast.AugAssign(target=target) | ast.Delete(targets=[target]):
                variables.forget(target)
            case ast.Import(names=names):
                self._import(names, variables)
            case ast.ImportFrom(module=module, names=names):
                self._import_from(module or "", names, variables)
            case _:
                self._look(statement, variables)

    def _import(self, names: Iterable[ast.alias], variables: Literals) -> None:
        for each in names:
            variables.drop([(each.asname or each.name).partition(".")[0]])
            if (each.asname or "." not in each.name) and (found := self._constants(each.name)):
                variables.bind(each.asname or each.name, found)

    def _import_from(self, module: str, names: Iterable[ast.alias], variables: Literals) -> None:
        found = (self._constants(module) if module else None) or Namespace()
        for each in names:
            if each.name == "*":
                for name, value in found.items():
                    variables.bind(name, value)
                continue
            variables.drop([each.asname or each.name])
            value = found.get(each.name) or self._constants(f"{module}.{each.name}".lstrip("."))
            if value is not None:
                variables.bind(each.asname or each.name, value)

    def _constants(self, module: str) -> Namespace | None:
        """Return what a module of the project assigns, as far as its own text tells."""
        found = self._find(module) if self._find else None
        if found is None:
            return None
        path, tree = found
        inner = Literals({"__file__": path})
        Follower().follow(tree.body, inner)
        values = {name: value for name, value in inner.known.items() if not isinstance(value, ast.AST)}
        del values["__file__"]
        return Namespace(values)

    def _define(self, name: str, function: ast.FunctionDef | ast.AsyncFunctionDef, variables: Literals) -> None:
        self._functions[name] = function
        self._uncalled[id(function)] = function
        variables.bind(name, function)

    def _branches(self, bodies: Iterable[list[ast.stmt]], variables: Literals) -> None:
        """Follow each of several bodies, of which one is executed; what they agree on is known after them."""
        first, *others = bodies
        outcomes = [variables.copy() for _ in others]
        self.follow(first, variables)
        for body, outcome in zip(others, outcomes, strict=True):
            self.follow(body, outcome)
            variables.agree(outcome)

    def _repeat(self, target: ast.expr, iterated: ast.expr, body: list[ast.stmt], variables: Literals) -> None:
        """Follow the body of a loop: for each item of a short literal list, else once."""
        items: list[Literals] = []
        with suppress(NotLiteralError):
            items = variables.items(target, iterated)
        if not items or len(items) > _MOST_ITEMS:
            variables.assign(target, None)
            self._branches([[], body], variables)
            return
        for item in variables.evaluate(iterated):
            variables.unpack(target, item)
            self.follow(body, variables)

    def _look(self, node: ast.AST | None, variables: Literals) -> None:
        """Note the files that the calls in an expression name."""
        variables.spend(1)
        match node:
            case None:
                return
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._comprehend(node, node.generators, variables)
                return
            case ast.Lambda():
                inner = variables.copy()
                inner.drop(parameters_of_function(node))
                self._look(node.body, inner)
                return
            case ast.NamedExpr(target=target, value=value):
                self._look(value, variables)
                variables.assign(target, value)
                return
            case ast.Call():
                if not (isinstance(node.func, ast.Name) and node.func.id in self._functions):
                    self.note(node, variables)
                self._lead(node, variables)
            case _:
                pass
        for child in ast.iter_child_nodes(node):
            self._look(child, variables)

    def _comprehend(self, node: ast.expr, generators: list[ast.comprehension], variables: Literals) -> None:
        if not generators:
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.comprehension):
                    self._look(child, variables)
            return
        first, *rest = generators
        self._look(first.iter, variables)
        scopes: list[Literals] = []
        with suppress(NotLiteralError):
            scopes = variables.items(first.target, first.iter)
        if not scopes or len(scopes) > _MOST_ITEMS:
            scopes = [variables.copy()]
            scopes[0].forget(first.target)
        for scope in scopes:
            for test in first.ifs:
                self._look(test, scope)
            self._comprehend(node, rest, scope)

    def _lead(self, call: ast.Call, variables: Literals) -> None:
        """Follow what one call changes or leads to."""
        match call:
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                self._call(self._functions[name], call, variables)
            case ast.Call(
                func=ast.Name(id="map") | ast.Attribute(attr="map" | "imap"), args=[ast.Name(id=name), iterated]
            ) if name in self._functions:
                item = ast.Name(id="each item", ctx=ast.Load())
                scopes: list[Literals] = []
                with suppress(NotLiteralError):
                    scopes = variables.items(item, iterated)[:_MOST_ITEMS]
                for scope in scopes:
                    self._call(self._functions[name], ast.Call(func=call.func, args=[item], keywords=[]), scope)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="chdir"), args=[folder]):
                self._move(folder, variables)
            case ast.Call(
                func=ast.Attribute(attr="run_line_magic"),
                args=[ast.Constant(value="cd"), ast.Constant() as folder],
            ):
                self._move(folder, variables)
            case ast.Call(func=ast.Attribute(value=ast.Name() as changed, attr="append"), args=[item]):
                list_of_it = ast.List(elts=[item], ctx=ast.Load())
                variables.assign(changed, ast.BinOp(left=changed, op=ast.Add(), right=list_of_it))
            case ast.Call(func=ast.Attribute(value=ast.Name() as changed, attr=method)) if method in _CHANGES:
                variables.forget(changed)
            case _:
                pass

    def _move(self, folder: ast.expr, variables: Literals) -> None:
        try:
            found = variables.evaluate(folder)
        except NotLiteralError:
            found = None
        place: str | None = None
        if isinstance(found, str) and self.folder is not None and not found.startswith(("~", "-", "$")):
            place = posixpath.normpath(posixpath.join(self.folder, found))
        if not self._conditions:
            self.folder = place
        elif place is not None:
            self.home = place

    def _call(self, function: Function, call: ast.Call, variables: Literals) -> None:
        self._uncalled.pop(id(function), None)
        if not variables.is_deep:
            self._enter(function, variables.called(function, call))

    def _enter(self, function: Function, variables: Literals) -> None:
        if isinstance(function.body, list):
            self.follow(function.body, variables)
