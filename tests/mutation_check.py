"""Does a test fail when the code is wrong? `python tests/mutation_check.py [faults|mutants] [MODULE...]`.

Two parts. *Faults* are the mistakes that build tools make, each written as an edit of the source. *Mutants* are
all flips of a comparison, a boolean, a constant or a result in the modules that decide what runs. Each is applied
to a copy of the tree, alone, and the fast tests are run on it. It ends with 1 if one survives unexplained.
"""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("pyproject.toml", "nbmake_dag", "cache", "reporting/nbmake_dag_reporting", "tests")
DEADLINE_S = 600
MODEL = "tests/core/test_model.py"
SURVEY = "tests/shell/test_survey.py"
KEEP = "tests/shell/test_keep.py"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One wrong edit, and the tests that should notice."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        name="ignore a parameter's type",
        path="nbmake_dag/core/ingredients.py",
        old='Ingredient("parameter", name, literal(value))',
        new='Ingredient("parameter", name, str(value).lower().removesuffix(".0"))',
        tests=("tests/core/test_ingredients.py",),
    ),
    Fault(
        name="let literals run into each other",
        path="cache/nbmake_dag_cache/syntax.py",
        old='    float: lambda number: f"{number!r};",\n',
        new="    float: repr,\n",
        tests=("tests/cache/test_identity_syntax.py",),
    ),
    Fault(
        name="trust mtime",
        path="cache/nbmake_dag_cache/stamps.py",
        old="return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino",
        new="return status.st_size, status.st_mtime_ns, 0, 0",
        tests=("tests/cache/test_memo.py",),
    ),
    Fault(
        name="skip the 2 s rule",
        path="cache/nbmake_dag_cache/stamps.py",
        old="_REST_NS = 2_000_000_000",
        new="_REST_NS = -(10**18)",
        tests=("tests/cache/test_memo.py",),
    ),
    Fault(
        name="forget a second-level module",
        path="nbmake_dag/observe/modules.py",
        old="                if identity is not None:\n",
        new="                if identity is None:\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="forget a glob's membership",
        path="nbmake_dag/core/ingredients.py",
        old="        files = observed.inputs.get(item, ())\n",
        new="        files = () if item.is_glob else observed.inputs.get(item, ())\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="forget a glob's new file",
        path="nbmake_dag/observe/inputs.py",
        old="                yield path, digest\n",
        new='                yield ProjectPath("any"), digest_bytes(b"")\n',
        tests=(SURVEY,),
    ),
    Fault(
        name="forget downstream: what is above is in no key",
        path="nbmake_dag/core/lookup.py",
        old="    above = tuple(upstream_ingredients(graph.tasks[name], graph.edges[name], results))\n",
        new="    above: tuple[Ingredient, ...] = ()\n",
        tests=("tests/core/test_schedule.py",),
    ),
    Fault(
        name="forget downstream: no edge for a folder",
        path="nbmake_dag/core/graph.py",
        old="        direct = next((path for path in _enclosing(item.path) if path in owners), None)\n",
        new="        direct = item.path if item.path in owners else None\n",
        tests=("tests/core/test_graph.py",),
    ),
    Fault(
        name="no early cutoff",
        path="nbmake_dag/core/schedule.py",
        old="            match decision:\n",
        new=(
            "            if any(self.states[other] is State.RAN for other in self._graph.upstream[name]):\n"
            "                identity = identify(name, self._graph, self._facts[name], self._results)\n"
            '                decision = Stale(reasons=("above",), identity=identity)\n'
            "            match decision:\n"
        ),
        tests=("tests/core/test_schedule.py",),
    ),
    Fault(
        name="accept a truncated record",
        path="cache/nbmake_dag_cache/record.py",
        old="    if not data.startswith(_PREFIX + xxh3_128_hexdigest(body).encode() + b'\"'):\n",
        new="    if not data.startswith(_PREFIX):\n",
        tests=("tests/cache/test_records.py",),
    ),
    Fault(
        name="accept a record whose blob is missing",
        path="nbmake_dag/build/keep.py",
        old="            blobs.restore(file.sha256, project.absolute(file.path), executable=file.executable)\n",
        new=(
            "            if blobs.has(file.sha256):\n"
            "                blobs.restore(file.sha256, project.absolute(file.path), executable=file.executable)\n"
        ),
        tests=(KEEP,),
    ),
    Fault(
        name="restore a damaged blob",
        path="cache/nbmake_dag_cache/blobs.py",
        old="                if digest.hexdigest() != sha256:\n                    self._discard(sha256)\n",
        new="",
        tests=(KEEP,),
    ),
    Fault(
        name="publish after an input changed",
        path="nbmake_dag/build/publish.py",
        old="    changed = set(after.changed_since(task, prepared.facts[task.name].own))\n",
        new="    changed: set[str] = set()\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="publish after what is above changed",
        path="nbmake_dag/build/publish.py",
        old="    changed |= set(_changed_upstream(task, prepared, results, after))\n",
        new="",
        tests=(SURVEY,),
    ),
    Fault(
        name="ignore a deleted output",
        path="nbmake_dag/core/decide.py",
        old="        if facts.present.get(ProjectPath(output.path)) != output.digest\n",
        new="        if facts.present.get(ProjectPath(output.path), output.digest) != output.digest\n",
        tests=("tests/core/test_decide.py",),
    ),
    Fault(
        name="take an upstream digest from disk instead of its record",
        path="nbmake_dag/core/schedule.py",
        old="        self._results[task] = result\n",
        new=(
            "        from msgspec.structs import replace\n"
            "        present = self._facts[task].present\n"
            "        self._results[task] = Result(\n"
            "            outputs={\n"
            "                path: replace(output, digest=present.get(path, output.digest))\n"
            "                for path, output in result.outputs.items()\n"
            "            },\n"
            "            logged=result.logged,\n"
            "            parameters=result.parameters,\n"
            "        )\n"
        ),
        tests=("tests/core/test_lookup.py", MODEL),
    ),
    Fault(
        name="use a trace of another static key",
        path="nbmake_dag/core/lookup.py",
        old=("    usable = [record for record in facts.records if record.static_key == identity.static_key]\n"),
        new=(
            "    usable = list(facts.records)\n"
            "    for record in usable:\n"
            "        recorded = [item for item in record.ingredients if item.stage == 'trace']\n"
            "        names = [(item.kind, item.name) for item in recorded]\n"
            "        present = list(present_trace(name, names, graph, facts.modules, results))\n"
            "        if recorded and recorded == present:\n"
            "            return record\n"
        ),
        tests=("tests/core/test_lookup.py",),
    ),
    Fault(
        name="keep a stale file in a glob",
        path="nbmake_dag/observe/inputs.py",
        old="            if self._leftovers.get(path) == digest:\n",
        new="            if False:\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="leave an unrecorded file in a restored folder",
        path="nbmake_dag/build/keep.py",
        old="            _clear(place, keep={project.absolute(file.path) for file in output.files})\n",
        new="",
        tests=(KEEP,),
    ),
    Fault(
        name="lose what the user edited",
        path="nbmake_dag/build/keep.py",
        old="            if ours.get(relative) != digest and (relative, digest) not in held:\n",
        new="            if False:\n",
        tests=(KEEP,),
    ),
)

MUTATED = {
    "nbmake_dag/core/decide.py": ("decide", "plan", "schedule", "lookup"),
    "nbmake_dag/core/plan.py": ("plan",),
    "nbmake_dag/core/lookup.py": ("lookup", "schedule", "plan"),
    "nbmake_dag/core/schedule.py": ("schedule",),
    "cache/nbmake_dag_cache/key.py": ("ingredients", "lookup"),
}

LOOKUP = "nbmake_dag/core/lookup.py"
SCHEDULE = "nbmake_dag/core/schedule.py"
EXPLAINED = {
    (
        LOOKUP,
        "static_key = key_of(known) if above else facts.own_key  =>  condition True",
    ): "the same key, hashed once more",
    (
        LOOKUP,
        "key = key_of((*identity.ingredients, *trace)) if trace else identity.static_key  =>  condition True",
    ): "the same key, hashed once more",
    (LOOKUP, "if used in tried:  =>  condition False"): "the same trace, looked up once more",
    (LOOKUP, "tried.add(used)  =>  left out"): "the same trace, looked up once more",
    (LOOKUP, "if above is None:  =>  condition True"): "the same tasks, looked for once more",
    (
        SCHEDULE,
        "if identity is None:  =>  condition False",
    ): "narrows a type: only a plan has stale tasks without an identity",
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


def run_tests(tree: Path, tests: tuple[str, ...], *, show: bool = False) -> bool:
    """Run tests on a tree in a process of its own; say whether one failed, or none came to an end."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = _run_here(tree, tests, show=show)
        except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _run_here(tree: Path, tests: tuple[str, ...], *, show: bool) -> int:
    if not show:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
    os.environ["NBDAG_EXAMPLES"] = "60"
    sys.dont_write_bytecode = True
    os.chdir(tree)
    sys.path[:0] = [str(tree), str(tree / "cache"), str(tree / "reporting")]
    hypothesis.settings.register_profile(
        "check", phases=[hypothesis.Phase.generate], derandomize=True, database=None
    )
    hypothesis.settings.load_profile("check")
    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-n", "0", "--assert=plain", *tests]))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def copied_tree() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        yield tree


@contextlib.contextmanager
def _edited(path: Path, text: str) -> Generator[None]:
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def check_faults(tree: Path) -> int:
    """Apply each fault; return how many survive."""
    survivors = 0
    for fault in FAULTS:
        path = tree / fault.path
        source = path.read_text()
        if source.count(fault.old) != 1:
            raise SystemExit(f"{fault.name}: {fault.path} does not hold exactly once: {fault.old!r}")
        with _edited(path, source.replace(fault.old, fault.new)):
            caught = run_tests(tree, fault.tests)
        survivors += not caught
        _say(f"{'caught  ' if caught else 'SURVIVED'}  {fault.name}")
    return survivors


def check_mutants(tree: Path, modules: list[str]) -> int:
    """Apply every flip to the modules that decide; return how many survive without an explanation."""
    survivors = 0
    for module, suites in MUTATED.items():
        if modules and not any(module.endswith(f"/{name}.py") for name in modules):
            continue
        tests = tuple(f"tests/core/test_{name}.py" for name in suites)
        found = list(mutants((tree / module).read_text()))
        caught = 0
        for mutant in found:
            with _edited(tree / module, mutant.text):
                if run_tests(tree, tests) or run_tests(tree, (MODEL,)):
                    caught += 1
                    continue
            reason = EXPLAINED.get((module, mutant.what), "")
            survivors += not reason
            _say(
                f"{'explained' if reason else 'SURVIVED'}  {module}:{mutant.line}  {mutant.what}  {reason}",
            )
        _say(f"{module}: {caught} of {len(found)} mutants caught")
    return survivors


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    survivors = 0
    with copied_tree() as tree:
        every = sorted({*(test for fault in FAULTS for test in fault.tests)})
        if run_tests(tree, tuple(every), show=True):
            raise SystemExit("the tests fail without a fault")
        if wanted != "mutants":
            survivors += check_faults(tree)
        if wanted != "faults":
            survivors += check_mutants(tree, sys.argv[2:])
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
