"""All flips of a comparison, a boolean, a constant or a result in the modules that decide what runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MUTATED = {
    "nbmake_dag/core/decide.py": ("decide", "plan", "schedule", "schedule_ends", "lookup"),
    "nbmake_dag/core/plan.py": ("plan",),
    "nbmake_dag/core/lookup.py": ("lookup", "schedule", "plan"),
    "nbmake_dag/core/schedule.py": ("schedule", "schedule_ends"),
    "cache/nbmake_dag_cache/key.py": ("ingredients", "lookup"),
}
KEY = "cache/nbmake_dag_cache/key.py"
LOOKUP = "nbmake_dag/core/lookup.py"
SCHEDULE = "nbmake_dag/core/schedule.py"
EXPLAINED = {
    (KEY, "if plain.isascii():  =>  condition False"): "the same bytes, in another way",
    (LOOKUP, "if not upstream:  =>  condition False"): "the same key, hashed once more",
    (
        LOOKUP,
        "return key_of((*self.ingredients, *trace)) if trace else self.static_key  =>  condition True",
    ): "the same key, hashed once more",
    (LOOKUP, "if used in tried:  =>  condition False"): "the same trace, looked up once more",
    (LOOKUP, "tried.add(used)  =>  left out"): "the same trace, looked up once more",
    (
        SCHEDULE,
        "if keys is None:  =>  condition False",
    ): "narrows a type: only a plan has stale tasks without keys",
}


"""Why a mutant that survives is no fault, by module and by what it does."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A module with one place changed."""

    what: str
    """The line as it was, and what became of the place; the same in every run."""
    line: int
    text: str


FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every module that differs in one place of a function from a source."""
    lines = source.splitlines()
    for number in range(len(_places(ast.parse(source)))):
        for variant in range(2):
            tree = ast.parse(source)
            node = _places(tree)[number]
            if what := _mutate(node, variant):
                line = lines[node.lineno - 1].strip()
                yield Mutant(what=f"{line}  =>  {what}", line=node.lineno, text=ast.unparse(tree))


def _places(tree: ast.Module) -> list[ast.expr | ast.stmt]:
    """Return what stands in the bodies of functions, in the order of the source."""
    found = {
        place: None
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in function.body
        for place in ast.walk(statement)
        if isinstance(place, (ast.expr, ast.stmt))
    }
    return sorted(found, key=lambda place: (place.lineno, place.col_offset))


def _mutate(node: ast.AST, variant: int) -> str:
    """Change a node in place and say how; nothing where there is nothing to change."""
    match node, variant:
        case ast.Compare(ops=[operator, *_]), 0:
            node.ops[0] = FLIPPED[type(operator)]()
            return f"{type(node.ops[0]).__name__} for {type(operator).__name__}"
        case ast.BoolOp(op=operator), 0:
            node.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            return f"{type(node.op).__name__} for {type(operator).__name__}"
        case ast.UnaryOp(op=ast.Not(), operand=operand), 0:
            node.operand = ast.UnaryOp(op=ast.Not(), operand=operand)
            return "without not"
        case ast.If() | ast.IfExp() | ast.While(), int():
            node.test = ast.Constant(bool(variant))
            return f"condition {bool(variant)}"
        case ast.Constant(value=bool(value)), 0:
            node.value = not value
            return f"{not value}"
        case ast.Constant(value=int(value)), 0 if not isinstance(value, bool):
            node.value = value + 1
            return f"{value + 1}"
        case ast.Return(value=ast.expr() as value), 0 if not isinstance(value, ast.Constant):
            node.value = ast.Constant(None)
            return "return None"
        case (
            (
                ast.Expr(value=ast.Call())
                | ast.AugAssign()
                | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
            ),
            0,
        ):
            gone: Any = node
            gone.__class__, gone.value = ast.Expr, ast.Constant(...)
            return "left out"
        case _:
            return ""
