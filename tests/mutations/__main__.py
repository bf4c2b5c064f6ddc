"""Does a test fail when the code is wrong? `python -m tests.mutations [faults|mutants] [MODULE...]`.

Two parts: *faults* (`faults.py`) and *mutants* (`mutants.py`). Each is applied to a copy of the tree, alone, and
the fast tests are run on it. It ends with 1 if one survives unexplained.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from tests.mutations.faults import FAULTS, MODEL
from tests.mutations.mutants import EXPLAINED, MUTATED, mutants

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pyproject.toml", "nbmake_dag", "cache", "reporting/nbmake_dag_reporting", "tests")
DEADLINE_S = 600


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
    sys.dont_write_bytecode = True
    os.chdir(tree)
    # this program's own modules are of the tree too, from here on
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    sys.path[:0] = [str(tree), str(tree / "cache"), str(tree / "reporting")]
    hypothesis.settings.register_profile(
        "check",
        phases=[hypothesis.Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=25,
    )
    options = ["-q", "-x", "-p", "no:cacheprovider", "-n", "0", "--assert=plain", "--hypothesis-profile=check"]
    return int(pytest.main([*options, *tests]))


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
