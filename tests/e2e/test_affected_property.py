"""What `--affected` names holds whatever a full build would execute after the same edits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbmake_dag.core.decide import Stale
from nbmake_dag.core.plan import plan
from nbmake_dag.engine.prepare import prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import ConfigError
from nbmake_dag.observe.project import find_project
from tests.support.project import Project

TASKS = {
    "relative": 'function = "pkg.steps:run"\noutputs = ["out/relative.txt"]',
    "optional": 'function = "optional:run"\noutputs = ["out/optional.txt"]',
    "found": 'function = "found:run"\noutputs = ["out/found.txt"]',
    "plugins": 'function = "plugged:run"\noutputs = ["out/plugins.txt"]',
    "linked": 'command = "cat data/x.csv > out/link.txt"\ninputs = ["data/x.csv"]\noutputs = ["out/link.txt"]',
    "globbed": 'command = "cat via/*.csv > out/glob.txt"\ninputs = ["via/*.csv"]\noutputs = ["out/glob.txt"]',
    "folder": 'command = "cat raw/* > out/folder.txt"\ninputs = ["raw"]\noutputs = ["out/folder.txt"]',
    "shell": 'command = "cd scripts && sh run.sh > ../out/shell.txt"\noutputs = ["out/shell.txt"]',
    "part": ('command = "echo {n} > out/part{n}.txt"\nmatrix = { n = [1, 2] }\noutputs = ["out/part{n}.txt"]'),
    "sum": 'command = "cat out/part*.txt > out/sum.txt"\ninputs = ["out/part*.txt"]\noutputs = ["out/sum.txt"]',
    "last": 'command = "cp out/sum.txt out/last.txt"\ninputs = ["out/sum.txt"]\noutputs = ["out/last.txt"]',
    "always": 'command = "true"\ncache = false',
}


def declared(project: Project, tasks: dict[str, str], *, head: str = "") -> None:
    project.pipeline(head + "".join(f"[tasks.{name}]\n{text}\n" for name, text in tasks.items()))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build everything on the main branch, once."""
    project = Project(tmp_path_factory.mktemp("built") / "repository")
    project.write(".gitignore", "/.nbdag/\n/out/\n__pycache__/\n")
    run = "def run(outputs):\n    open(outputs[0], 'w').write(str({}))\n"
    project.write("pkg/__init__.py", "").write("pkg/h.py", "V = 1\n")
    project.write("pkg/steps.py", "from .h import V\n" + run.format("V"))
    project.write(
        "optional.py",
        "try:\n    from fast import V\nexcept ImportError:\n    from slow import V\n" + run.format("V"),
    )
    project.write("fast.py", "V = 1\n").write("slow.py", "V = 2\n")
    project.write(
        "paths.py", "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"
    )
    project.write("lib/deep.py", "from deeper import V\n").write("lib/deeper.py", "V = 1\n")
    project.write("found.py", "import paths\nimport deep\n" + run.format("deep.V"))
    project.write("plugins/__init__.py", "").write("plugins/a.py", "V = 1\n")
    project.write(
        "plugged.py",
        "import importlib, pkgutil, plugins\n"
        + run.format(
            "[importlib.import_module('plugins.' + m.name).V for m in pkgutil.iter_modules(plugins.__path__)]"
        ),
    )
    project.write("raw/x.csv", "1\n").write("raw/y.csv", "2\n").write("scripts/run.sh", "sh ./part.sh\n")
    project.write("scripts/part.sh", "echo part\n")
    (project / "data").mkdir()
    (project / "data" / "x.csv").symlink_to("../raw/x.csv")
    (project / "via").symlink_to("raw")
    declared(project, TASKS)
    project.commit().git("branch", "-M", "main")
    assert project.build().code == 0
    project.git("checkout", "-q", "-b", "feature")
    return project


def without(*names: str) -> Callable[[Project], object]:
    return lambda project: declared(project, {name: text for name, text in TASKS.items() if name not in names})


def replaced(name: str, old: str, new: str) -> Callable[[Project], object]:
    return lambda project: declared(project, {**TASKS, name: TASKS[name].replace(old, new)})


def relinked(project: Project) -> None:
    (project / "via").unlink(missing_ok=True)
    (project / "via").symlink_to("lib")


def executable(project: Project) -> None:
    if (project / "raw/x.csv").exists():
        (project / "raw/x.csv").chmod(0o755)


def dropped(path: str) -> Callable[[Project], object]:
    return lambda project: (project / path).unlink(missing_ok=True)


def written(path: str, text: str) -> Callable[[Project], object]:
    return lambda project: project.write(path, text)


EDITED = (
    "fast.py lib/deep.py lib/deeper.py paths.py pkg/__init__.py pkg/h.py plugins/a.py raw/x.csv raw/y.csv"
    " scripts/part.sh scripts/run.sh slow.py"
)
DELETED = "fast.py lib/deeper.py pkg/h.py plugins/a.py raw/x.csv raw/y.csv scripts/part.sh slow.py"
ADDED = "deeper.py fast/__init__.py lib/z.csv notes.txt pkg/h/__init__.py plugins/b.py raw/z.csv"
EDITS: dict[str, Callable[[Project], object]] = {
    **{f"edit {path}": written(path, "V = 9\n") for path in EDITED.split()},
    **{f"delete {path}": dropped(path) for path in DELETED.split()},
    **{f"add {path}": written(path, "V = 8\n") for path in ADDED.split()},
    "shrink the matrix": replaced("part", "[1, 2]", "[1]"),
    "grow the matrix": replaced("part", "[1, 2]", "[1, 2, 3]"),
    "remove a producer": without("part"),
    "remove another task": without("shell"),
    "reorder": lambda project: declared(project, dict(reversed(TASKS.items()))),
    "ignore": lambda project: declared(project, TASKS, head='[pipeline]\nignore = ["y.csv"]\n'),
    "strict": replaced("linked", "command", "strict = true\ncommand"),
    "cache": replaced("always", "cache = false", "cache = true"),
    "another link": relinked,
    "executable": executable,
    "attributes": written(".gitattributes", "*.csv text eol=crlf\n"),
}


def executed(root: Path) -> set[str]:
    """Return what a full build is sure to execute; what is below may be, if outputs change."""
    project = find_project(str(root))
    stores = Stores.open(project)
    try:
        prepared = prepare(project, Request(), stores)
        verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    finally:
        stores.close()
    return {name for name, verdict in verdicts.items() if isinstance(verdict, Stale)}


def affected(root: Path) -> set[str]:
    project = find_project(str(root))
    stores = Stores.open(project)
    try:
        return set(prepare(project, Request(affected="main"), stores).targets)
    finally:
        stores.close()


def check_affected(built: Project, root: Path, edits: list[str], *, commit: bool) -> None:
    shutil.rmtree(root, ignore_errors=True)
    branch = Project.copied(built.root, root)
    for edit in edits:
        EDITS[edit](branch)
    if commit:
        branch.git("add", "-A")
        branch.git("commit", "-q", "--allow-empty", "-m", "edits")
    try:
        sure = executed(root)
    except ConfigError:
        # an input is missing: nothing can be built
        return
    assert sure <= affected(root)


few_edits = st.lists(st.sampled_from(sorted(EDITS)), min_size=1, max_size=3, unique=True)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=few_edits, commit=st.booleans())
def test_whatever_a_full_build_executes_is_affected(
    built: Project, tmp_path: Path, edits: list[str], *, commit: bool
) -> None:
    """For any few edits, committed or not: too much may be named, never too little."""
    check_affected(built, tmp_path / "branch", edits, commit=commit)


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=few_edits, commit=st.booleans())
def test_whatever_a_full_build_executes_is_affected_after_many_edits(
    built: Project, tmp_path: Path, edits: list[str], *, commit: bool
) -> None:
    """The same for more edits."""
    check_affected(built, tmp_path / "branch", edits, commit=commit)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ("edit pkg/h.py", {"relative"}),
        ("edit pkg/__init__.py", {"relative"}),
        ("delete fast.py", {"optional"}),
        ("remove a producer", {"sum", "last"}),
        ("shrink the matrix", {"sum", "last"}),
        ("edit raw/x.csv", {"linked", "globbed", "folder"}),
        ("edit raw/y.csv", {"globbed", "folder"}),
        ("delete raw/y.csv", {"globbed", "folder"}),
        ("add raw/z.csv", {"globbed", "folder"}),
        ("edit lib/deeper.py", {"found"}),
        ("edit scripts/part.sh", {"shell"}),
        ("add plugins/b.py", {"plugins"}),
        ("add notes.txt", set[str]()),
    ],
)
def test_one_edit_affects_few_tasks(built: Project, tmp_path: Path, edit: str, expected: set[str]) -> None:
    """Those that use the file, those below, and those that always run."""
    branch = Project.copied(built.root, tmp_path / "branch")
    EDITS[edit](branch)
    assert affected(branch.root) == {*expected, "always"}


def test_what_is_uncertain_is_included_with_the_reason(built: Project, tmp_path: Path) -> None:
    """A dry run prints it too: files that git does not track or look at, and code that loads pickles."""
    branch = Project.copied(built.root, tmp_path / "branch")
    branch.write("work.py", "import pickle\ndef run():\n    pickle.loads(pickle.dumps(1))\n")
    branch.write("out/kept.csv", "1\n").write("told.csv", "1\n")
    declared(
        branch,
        {
            "pickled": 'function = "work:run"',
            "ignored": 'command = "cat out/kept.csv"\ninputs = ["out/kept.csv"]',
            "told": 'command = "cat told.csv"\ninputs = ["told.csv"]',
        },
    )
    branch.commit().git("branch", "-f", "main")
    assert affected(branch.root) == {"ignored"}
    branch.git("update-index", "--assume-unchanged", "told.csv")
    branch.write("told.csv", "2\n").write("slow.py", "V = 3\n")
    said = branch.nbdag("build", "-n", "--affected=main", env={"CI": "", "GITHUB_ACTIONS": ""}).stderr
    assert "3 of 3 tasks are affected since main" in said
    assert "ignored may be affected: git does not tell whether out/kept.csv changed" in said
    assert "told may be affected: git does not tell whether told.csv changed" in said
    assert "pickled may be affected: slow.py changed, and what its code imports and starts is known only" in said
