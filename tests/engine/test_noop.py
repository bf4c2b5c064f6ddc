"""A build with nothing to do is recognised from one file, and only then."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine import session
from nbmake_dag.engine.build import build
from nbmake_dag.engine.noop import Unchanged, recall, signature
from nbmake_dag.engine.request import Request
from nbmake_dag.observe.project import find_project
from nbmake_dag.record.run_events import Notice, RunEvent
from nbmake_dag_cache import records, stamps
from tests.support.project import Project, await_true

PIPELINE = """
    [pipeline]
    name = "rests"

    [software]
    variables = ["FLAVOUR"]

    [tasks.count]
    command = "python scripts/count.py"
    inputs = { data = "data/*.txt", notes = { path = "notes/today.md", optional = true } }
    outputs = ["results/count.txt"]
    max_age = "1h"

    [tasks.look]
    notebook = "notebooks/look.py"
    inputs = ["results/count.txt"]
    outputs = ["results/look.txt"]
"""
COUNT = """
    import glob, helper
    with open("results/count.txt", "w") as file:
        print(helper.SIZE, len(glob.glob("data/*.txt")), file=file)
"""
ADDED = ("data/b.txt", "scripts/glob.py", "notes/today.md")
HEAVY = (
    "asyncio",
    "diskcache",
    "jupyter_client",
    "nbclient",
    "nbformat",
    "nbmake_dag.core.model",
    "opentelemetry.sdk",
    "papermill",
    "ray",
    "rich",
    "tomli",
)
NO_OP = """
import sys
from nbmake_dag.commands.cli import run

code = run(["build", "--output=none"])
print(code, *[name for name in sys.argv[1:] if name in sys.modules])
"""


class Notices:
    """Collects what a build says beside its events."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notify(self, event: RunEvent) -> None:
        if isinstance(event, Notice):
            self.texts.append(event.text)


class Rests:
    """A built project in this process, and what the next build will believe."""

    def __init__(self, files: Project, kernels: Path) -> None:
        self.files = files
        self.kernels = kernels
        """A folder in which kernelspecs are looked for first, which does not exist."""
        self.warnings: list[str] = []
        self.project = find_project(str(files.root))

    def build(self) -> None:
        outcome = build(self.project, Request(), (), waiting=pytest.fail)
        assert outcome.result == "success"

    def recalled(self, *, after_s: float = 0) -> Unchanged | None:
        now = time.time_ns() + int(after_s * 1e9)
        return recall(self.project, self.file.name, os.environ, now, warn=self.warnings.append)

    @property
    def file(self) -> Path:
        return Path(self.project.state, "unchanged", signature(self.project, Request()))


@pytest.fixture(scope="module")
def rests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rests]:
    """Build a project once, with file stamps that are believed at once, so that no test waits for them to age."""
    root = tmp_path_factory.mktemp("rests")
    files = Project(root / "project").pipeline(PIPELINE)
    files.write("data/a.txt", "a\n").write("scripts/count.py", COUNT).write("scripts/helper.py", "SIZE = 1\n")
    files.notebook("notebooks/look.py", "open('results/look.txt', 'w').write('seen')")
    (files / "results").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stamps, "_REST_NS", 0)
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        patch.setenv("FLAVOUR", "plain")
        built = Rests(files, root / "jupyter")
        built.build()
        yield built


@pytest.fixture
def rested(rests: Rests) -> Rests:
    """Undo what the test before did, and build; the file is there, and is believed."""
    shutil.rmtree(rests.kernels, ignore_errors=True)
    for path in ADDED:
        (rests.files / path).unlink(missing_ok=True)
    rests.files.write("data/a.txt", "a\n").write("scripts/helper.py", "SIZE = 1\n")
    rests.build()
    assert rests.recalled() is not None
    return rests


def edit_unseen(rests: Rests) -> None:
    """Change a byte of an input, and put its modification time back."""
    path = rests.files / "data" / "a.txt"
    before = path.stat()
    path.write_text("b\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def add_kernelspec(rests: Rests) -> None:
    folder = rests.kernels / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": ["other"], "display_name": "Other", "language": "other"}')


def record_of(rests: Rests) -> Path:
    return min(Path(rests.project.cache, "records").rglob("*.json"))


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


CHANGES: dict[str, Callable[[Rests], object]] = {
    "a record that is gone": lambda rests: record_of(rests).unlink(),
    "a record that was damaged": lambda rests: flip(record_of(rests)),
    "all records are gone": lambda rests: shutil.rmtree(Path(rests.project.cache, "records")),
    "a deleted output": lambda rests: rests.files.remove("results/count.txt"),
    "an output edited by hand": lambda rests: rests.files.write("results/look.txt", "mine"),
    "an input of the same size and time": edit_unseen,
    "a file that joins a glob": lambda rests: rests.files.write(ADDED[0], "b\n"),
    "an input that was absent": lambda rests: rests.files.write(ADDED[2], "n\n"),
    "a module that is imported": lambda rests: rests.files.write("scripts/helper.py", "SIZE = 2\n"),
    "a new module that hides another": lambda rests: rests.files.write(ADDED[1], "glob = list\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_build_rests_on_is_looked_at(rested: Rests, change: Callable[[Rests], object]) -> None:
    """Each kind of change makes the next build look at everything."""
    change(rested)
    assert rested.recalled() is None


def test_a_variable_is_compared(rested: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    """A declared variable that has another value, or none, is a change."""
    monkeypatch.setenv("FLAVOUR", "")
    assert rested.recalled() is None
    monkeypatch.delenv("FLAVOUR")
    assert rested.recalled() is None


@pytest.mark.parametrize("name", ["JUPYTER_PATH", "XDG_DATA_HOME", "PYTHONPATH", "PYTHONUSERBASE"])
def test_a_variable_that_the_look_read_is_compared(
    rested: Rests, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One that decides which kernel, interpreter or program a name means; back as it was, all is up to date."""
    with monkeypatch.context() as patch:
        patch.setenv(name, str(rested.kernels / "elsewhere"))
        assert rested.recalled() is None
    assert rested.recalled() is not None


def test_a_variable_that_decides_nothing_is_not_compared(rested: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing read it, so that another value is no reason to look at everything."""
    monkeypatch.setenv("COLUMNS", "81")
    assert rested.recalled() is not None


def test_a_folder_of_kernels_is_looked_at(rested: Rests) -> None:
    """A kernelspec that would be found first from now on is a change."""
    add_kernelspec(rested)
    assert rested.recalled() is None


def test_a_cache_that_cannot_be_swept_changes_nothing_of_a_build(
    restless: Rests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk may be full, which is when it should be swept; `nbdag cache gc` says so."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(session, "after_build", fail)
    restless.files.write("more.txt", "")
    shutil.rmtree(Path(restless.project.state, "unchanged"))
    restless.build()
    assert restless.recalled() is not None


def test_once_a_day_a_build_with_nothing_to_do_removes_old_runs(tmp_path: Path) -> None:
    """Also where no build ever has anything to do, only what the pipeline keeps stays."""
    files = Project(tmp_path / "project").pipeline('[runs]\nkeep = 2\n[tasks.a]\ncommand = "true"\n')
    kept = files.root / ".nbdag/runs"

    def runs() -> int:
        files.build().ran()
        return sum(path.name[0].isdecimal() for path in kept.iterdir())

    files.build().ran("a")
    assert [runs() for _ in range(3)] == [2, 3, 4]
    long_ago = time.time() - 3 * 86_400
    os.utime(files.root / ".nbdag/state/swept", (long_ago, long_ago))
    assert [runs(), runs()] == [2, 3]


def test_a_result_whose_record_is_too_large_is_no_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build goes well and says so, and the next one runs the task again."""
    files = Project(tmp_path / "project").pipeline('[tasks.a]\ncommand = "echo > a.txt"\noutputs = ["a.txt"]\n')
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 100)
    project = find_project(str(files.root))
    for _ in range(2):
        notices = Notices()
        outcome = build(project, Request(), (notices,), waiting=pytest.fail)
        assert (outcome.result, outcome.tasks[TaskName("a")].status) == ("success", "ran")
        assert notices.texts == ["warning: a: not recorded: its record would take 0 MiB, more than 0"]


def test_old_age_is_a_change(rested: Rests) -> None:
    """A record is believed until its task's `max_age` is over, and not from then on."""
    assert rested.recalled(after_s=3000) is not None
    assert rested.recalled(after_s=3601) is None


def test_a_touched_file_is_no_change(rested: Rests) -> None:
    """Files with new times and the same content are hashed, and then believed by their new times."""
    for path in ("data/a.txt", "results/count.txt", "scripts/helper.py", "pipeline.toml"):
        os.utime(rested.files / path)
    found = rested.recalled()
    assert found is not None
    again = rested.recalled()
    assert again is not None
    assert again.digests == found.digests


def test_a_damaged_file_is_not_believed(rested: Rests) -> None:
    """Whichever byte is flipped and wherever it is cut, it is put aside, and the build looks at everything."""
    whole = rested.file.read_bytes()

    def refused(damaged: bytes) -> bool:
        rested.file.write_bytes(damaged)
        rested.warnings.clear()
        believed = rested.recalled()
        rested.file.with_name(f"{rested.file.name}.damaged").unlink()
        return believed is None and len(rested.warnings) == 1

    for position in range(len(whole)):
        assert refused(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :]), position
    for length in range(0, len(whole), 97):
        assert refused(whole[:length]), length
    rested.file.write_bytes(whole)
    assert rested.recalled() is not None


def test_nothing_to_do_imports_nothing_heavy(rested: Rests) -> None:
    """A build that has nothing to do imports no library that only other builds need."""
    command = [sys.executable, "-c", NO_OP, *HEAVY]

    def imported() -> str:
        done = subprocess.run(command, cwd=rested.files.root, capture_output=True, text=True, check=True)
        return done.stdout

    # the first has another import path than this process, and files as young as these are looked at closely
    await_true(lambda: imported() == "0\n", 60, "a build with nothing to do imports more")


@pytest.mark.parametrize(
    ("inputs", "link", "target", "inside"),
    [
        ("data/*.csv", "data/a.csv", "a.csv", ""),
        ("data/**/*.csv", "data/more", "more", "a.csv"),
        ("data/", "data/more", "more", "a.csv"),
        ("main.py", "lib.py", "lib.py", ""),
        ("main.py", "lib", "lib", "__init__.py"),
    ],
)
@pytest.mark.parametrize("way", ["nothing", "another link", "itself"])
def test_a_link_that_leads_somewhere_now_is_seen(
    project: Project, monkeypatch: pytest.MonkeyPatch, inputs: str, link: str, target: str, inside: str, way: str
) -> None:
    """As where data is fetched after the clone, by git-annex or DVC: the folder itself does not change."""
    monkeypatch.setattr(stamps, "_REST_NS", 0)
    project.write("data/b.csv", "b").write("main.py", "try:\n    import lib\nexcept ImportError:\n    pass\n")
    project.pipeline(f"""
        [tasks.a]
        command = "python main.py; ls data > a.txt"
        inputs = ["{inputs}"]
        outputs = ["a.txt"]
        """)
    outside = project.root.parent
    step, elsewhere = outside / "step", outside / "elsewhere"
    match way:
        case "another link":
            step.symlink_to("nowhere")
        case "itself":
            step.symlink_to("step")
    if way != "nothing":
        elsewhere.symlink_to(step)
    (project / link).symlink_to(elsewhere / target)
    rests = Rests(project, project.root)
    for _ in range(2):
        rests.build()
    assert rests.recalled() is not None
    if way != "nothing":
        step.unlink()
        step.mkdir()
    made = elsewhere / target if "." in target else elsewhere / target / inside
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text("x = 1\n")
    assert rests.recalled() is None


def test_a_script_whose_link_leads_to_the_same_elsewhere_is_seen(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it imports lies elsewhere then, although the script itself is the same."""
    monkeypatch.setattr(stamps, "_REST_NS", 0)
    for folder in ("one", "two"):
        project.write(f"{folder}/main.py", "import lib").write(f"{folder}/lib.py", f"print('{folder}')")
    project.pipeline("""
        [tasks.a]
        command = "python links/main.py > a.txt"
        outputs = ["a.txt"]
        """)
    (project / "links").mkdir()
    (project / "links/main.py").symlink_to("../hop")
    (project / "hop").symlink_to("one/main.py")
    rests = Rests(project, project.root)
    for _ in range(2):
        rests.build()
    assert rests.recalled() is not None
    (project / "hop").unlink()
    (project / "hop").symlink_to("two/main.py")
    assert rests.recalled() is None


NAMES = """
    [pipeline]
    name = "names"

    [tasks.shown]
    notebook = "shown.py"
    kernel = "linked"
    outputs = ["shown.txt"]

    [tasks.step]
    function = "lib.steps:run"
    outputs = ["step.txt"]

    [tasks.folder]
    command = "python gen.py || true; mkdir -p made; echo 1 > made/tool"
    outputs = ["made/"]

    [tasks.words]
    command = "echo tools/run tools/none; python -W ignore tools/late || true; pytest tools/tests || true"
    outputs = []
"""
STEP = """
    def run():
        open("step.txt", "w").write("x")
"""


def wrapper(path: Path) -> Path:
    """Write a program that is this interpreter."""
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rests:
    """Build a project whose kernel, function and script are found by name; it is recognised as up to date."""
    kernels = tmp_path / "jupyter"
    files = Project(tmp_path / "project").pipeline(NAMES)
    files.notebook("shown.py", "open('shown.txt', 'w').write('x')")
    files.write("src/lib/steps.py", STEP).write("lib/other.py", "")
    (tmp_path / "python").symlink_to(wrapper(tmp_path / "first"))
    folder = kernels / "kernels" / "linked"
    folder.mkdir(parents=True)
    argv = [str(tmp_path / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Linked", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setattr(stamps, "_REST_NS", 0)
    monkeypatch.setenv("JUPYTER_PATH", str(kernels))
    monkeypatch.setenv("PYTHONPATH", str(files / "src"))
    monkeypatch.syspath_prepend(str(files / "src"))
    rests = Rests(files, kernels)
    rests.build()
    rests.build()
    assert rests.recalled() is not None
    return rests


def relink(rests: Rests) -> None:
    """Let the kernel's interpreter be another file, as an upgrade of the system does."""
    link = rests.kernels.parent / "python"
    link.unlink()
    link.symlink_to(wrapper(rests.kernels.parent / "second"))


@pytest.mark.parametrize(
    "change",
    [
        relink,
        lambda rests: rests.files.write("lib/steps.py", STEP),
        lambda rests: rests.files.write("gen.py", ""),
        lambda rests: (rests.files / "made" / "tool").chmod(0o755),
        lambda rests: rests.files.write("tools/run", "#!/bin/sh\n") and (rests.files / "tools/run").chmod(0o755),
        lambda rests: rests.files.write("tools/late", ""),
        lambda rests: rests.files.write("tools/tests/test_x.py", ""),
    ],
    ids=[
        "another interpreter",
        "a function's new module",
        "a script that was not there",
        "an executable bit",
        "a word that is a program now",
        "a word that is a file now",
        "a word that is a folder now",
    ],
)
def test_what_a_look_depended_on_is_looked_at(named: Rests, change: Callable[[Rests], object]) -> None:
    """What would change the decision of a look at everything makes the next build look at everything."""
    change(named)
    assert named.recalled() is None


def test_a_module_that_changed_while_another_task_ran_is_not_forgotten(project: Project) -> None:
    """The task that used it as it was runs in the next build, although another one saw it anew before."""
    project.pipeline(
        """
        [pipeline]
        name = "race"

        [tasks.x]
        function = "x:run"
        outputs = ["out/x.txt"]

        [tasks.slow]
        command = "module=m.p; echo 'VALUE = {value}' > $module'y'; echo {value} > out/slow.txt"
        parameters = { value = 1 }
        after = ["x"]
        outputs = ["out/slow.txt"]

        [tasks.y]
        function = "y:run"
        inputs = ["out/slow.txt"]
        outputs = ["out/y.txt"]
        """
    )
    project.write("out/.keep", "").write("m.py", "VALUE = 1\n")
    project.write("x.py", "import m\ndef run():\n    open('out/x.txt', 'w').write(str(m.VALUE))\n")
    project.write(
        "y.py",
        "import importlib\ndef run():\n    m = importlib.import_module(chr(109))\n"
        "    open('out/y.txt', 'w').write(str(m.VALUE))\n",
    )
    project.build()
    project.build()
    project.build("-p", "value=2").ran("slow", "y")
    assert (project.read("out/x.txt"), project.read("out/y.txt")) == ("1", "2")
    project.build("-p", "value=2").ran("x")
    assert project.read("out/x.txt") == "2"


def test_a_script_outside_the_project_is_no_output_of_it(project: Project) -> None:
    """However its path ends: it is the end of an output's, from where the project's would begin."""
    project.git("init", "-q")
    project.write("beside/make.py", "open('make.py', 'w').write('1')\n")
    inner = Project(project / "inside")
    inner.pipeline('[tasks.make]\ncommand = "python ../beside/make.py"\noutputs = ["make.py"]\n').build().ran(
        "make"
    )
    inner.build().ran()
    project.write("beside/make.py", "open('make.py', 'w').write('2')\n")
    inner.build().ran("make")


def test_what_may_make_a_result_wrong_is_said_where_nothing_is_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of another profile in an input, as in each look at everything."""
    monkeypatch.setattr(stamps, "_REST_NS", 0)
    files = Project(tmp_path / "project").pipeline(
        """
        [tasks.make]
        matrix = { n = [1] }
        command = "echo {n} > made/{n}.txt"
        outputs = ["made/{n}.txt"]

        [tasks.sum]
        command = "cat made/* > sum.txt"
        inputs = ["made/*"]
        outputs = ["sum.txt"]

        [profiles.more]
        tasks.make.matrix = { n = [1, 2] }
        """
    )
    wide = find_project(str(files.root), None, ("more",))
    assert build(wide, Request(), (), waiting=pytest.fail).result == "success"
    rests = Rests(files, tmp_path)
    rests.build()
    found = rests.recalled()
    assert found is not None
    (warning,) = found.warnings
    assert warning.startswith("input `made/*` of task `sum` holds made/2.txt, made with another profile")


@pytest.fixture
def restless(tmp_path: Path) -> Rests:
    """Build a project again just now, whose folder is searched for modules and has an output."""
    files = Project(tmp_path / "project").pipeline(
        """
        [tasks.make]
        command = "python make.py"
        inputs = ["data/*.txt"]
        outputs = ["made.txt"]
        """
    )
    files.write("data/a.txt", "a\n").write("made.txt", "")
    files.write("make.py", "import helper, textwrap\nopen('made.txt', 'w').write('x')\n")
    files.write("helper.py", "")
    rests = Rests(files, tmp_path)
    rests.build()
    files.write("data/a.txt", "b\n")
    rests.build()
    return rests


def test_what_was_written_just_now_is_compared_by_content(restless: Rests) -> None:
    """Folders too, also one in which a task has made its output again; what comes and goes again is no change."""
    assert restless.recalled() is not None
    swap = restless.files / "data/.a.txt.swp"
    swap.write_text("")
    assert restless.recalled() is None
    swap.unlink()
    assert restless.recalled() is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.write("data/b.txt", ""),
        lambda files: files.write("textwrap.py", ""),
        lambda files: files.write("helper/__init__.py", ""),
        lambda files: files.write("helper.py", "VALUE = 1\n"),
        lambda files: (files / "data/a.txt").rename(files / "data/b.txt"),
        lambda files: (files.remove("data/a.txt"), (files / "data/a.txt").symlink_to("../make.py")),
    ],
    ids=[
        "joins a glob",
        "hides a module",
        "becomes a package",
        "has other bytes",
        "has another name",
        "is a link",
    ],
)
def test_a_change_just_after_a_build_is_seen(restless: Rests, change: Callable[[Project], object]) -> None:
    """However short the time, in which stamps say nothing."""
    change(restless.files)
    assert restless.recalled() is None
