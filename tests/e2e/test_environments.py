"""Environments that nbdag makes from lock files: real uv, and wheels on loopback or from the package index."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import Project, await_true
from tests.support.watching import Watching
from tests.support.wheels import Wheels, serving

pytestmark = [pytest.mark.uv, pytest.mark.slow]

SAY = "import json, sys, tool; open(sys.argv[1], 'w').write(tool.VERSION)"
TWO = """
    [environments.old]
    lock = "old/requirements.txt"
    [environments.new]
    lock = "new/uv.lock"
    env = { MODE = "new" }

    [tasks.first]
    command = ["python", "say.py", "first.txt"]
    environment = "old"
    outputs = ["first.txt"]
    [tasks.second]
    function = "work:second"
    environment = "new"
    outputs = ["second.txt"]
    [tasks.apart]
    command = "echo apart > apart.txt"
    outputs = ["apart.txt"]
"""
WORK = """
    import os
    import tool
    import nbmake_dag as nbdag
    def second(outputs):
        nbdag.log_metric("size", 3)
        with open(outputs[0], "w") as file:
            file.write(f"{tool.VERSION} {os.environ['MODE']}")
"""


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wheels]:
    """Serve wheels, and let the user's cache folder be one of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(tmp_path / "wheels") as served:
        yield served


@pytest.fixture
def two(project: Project, wheels: Wheels) -> Project:
    """Make two tasks that need different versions of the same package."""
    old, new = wheels.add("tool", "1.0"), wheels.add("tool", "2.0")
    project.write("old/requirements.txt", wheels.requirements(old))
    project.write("new/uv.lock", wheels.uv_lock(new))
    project.write("say.py", SAY).write("work.py", WORK)
    return project.pipeline(TWO)


def made() -> list[Path]:
    """Return the environments of the user."""
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "nbdag" / "environments"
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def test_two_tasks_of_one_build_have_conflicting_versions_and_the_next_build_needs_no_environment(two: Project):
    """Each sees its own; logging works without nbdag there; with uv and environments gone nothing is to do.

    One package more makes stale what uses its lock file, and nothing else; explain names it.
    """
    assert (two.nbdag("status").returncode, made()) == (0, [])
    build = two.build()
    build.ran("apart", "first", "second").said("making the environment `old`: 1 package\n")
    assert (two.read("first.txt"), two.read("second.txt"), len(made())) == ("1.0", "2.0 new", 2)
    trace = two.read(f".nbdag/runs/{build.summary['run_id']}/trace.otlp.jsonl")
    assert '"environment old"' in trace
    assert '"nbdag.metric.size"' in trace

    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    no_uv = {"PATH": "/nowhere"}
    two.build(env=no_uv).ran()
    two.remove(".nbdag/state").build(env=no_uv).ran()
    two.remove("second.txt").build(env=no_uv).restored("second")
    assert made() == []


def test_a_package_that_joins_a_lock_file_makes_its_tasks_stale_and_is_named(two: Project, wheels: Wheels):
    """The other environment's task stays; a comment in a lock file changes nothing."""
    two.build().ran("apart", "first", "second")
    files = ["tool-1.0-py3-none-any.whl", wheels.add("more", "3.1")]
    two.write("old/requirements.txt", wheels.requirements(*files))
    assert "locked package: more added" in two.nbdag("explain", "first").stdout
    build = two.build()
    build.ran("first")
    assert build.reasons("first") == ["locked package: more added"]
    two.write("old/requirements.txt", "# another\n" + wheels.requirements(*reversed(files))).build().ran()


def test_a_damaged_environment_is_made_again_with_the_right_bytes(two: Project):
    """An edit of a package in it does not reach uv's cache; a file that is gone and one that joined are seen."""
    two.build().ran("apart", "first", "second")
    (place,) = (path for path in made() if list(path.glob("lib/*/site-packages/tool-1.0.dist-info")))
    module = next(place.glob("lib/*/site-packages/tool.py"))
    for damage in (
        lambda: module.write_text("VERSION = 'edited'"),
        module.unlink,
        module.with_name("other.py").touch,
        place.joinpath("nbdag-environment.json").unlink,
    ):
        damage()
        two.build("-B", "first").ran("first").said("making the environment `old`")
        assert (two.read("first.txt"), module.read_text()) == ("1.0", "VERSION = '1.0'\n")
    assert "making" not in two.build("-B", "first").ran("first").err


def test_what_cannot_be_made_fails_its_tasks_once_with_the_last_words_of_uv_and_others_go_on(
    two: Project, wheels: Wheels
):
    """A wheel whose hash is another is never installed; without uv the failure says how to get it."""
    text = wheels.requirements("tool-1.0-py3-none-any.whl")
    wheels.add("tool", "1.0", "import evil")
    two.write("old/requirements.txt", text)
    build = two.build("-k")
    build.ended(1, failed=["first"], ran=["apart", "second"])
    build.said("environment `old` could not be made:").said("Hash mismatch")
    assert len(made()) == 1

    two.remove("second.txt")
    (two / "bin").mkdir()
    (two / "bin" / "sitecustomize.py").write_text("import sys; sys.modules['uv'] = None")
    os.symlink(shutil.which("sh") or "", two / "bin" / "sh")
    without = {"PATH": str(two / "bin"), "PYTHONPATH": str(two / "bin")}
    refused = two.build("-k", "-B", "first", "apart", env=without)
    refused.ended(1, failed=["first"], ran=["apart"])
    refused.said("made by uv, which is not here").said("nbmake-dag[uv]")


def test_what_could_not_be_made_is_tried_again_in_the_next_round(two: Project, wheels: Wheels, tmp_path: Path):
    """A watcher lives on: the failure of one round is not that of the next."""
    wheel = tmp_path / "wheels" / "tool-1.0-py3-none-any.whl"
    wheel.rename(tmp_path / "away")
    with Watching(two, "first") as watching:
        watching.said("environment `old` could not be made")
        (tmp_path / "away").rename(wheel)
        two.save("say.py", SAY.replace("tool.VERSION", "tool.VERSION * 2"))
        watching.said("environment `old` made")
        watching.said("1 ran")
    assert two.read("first.txt") == "1.01.0"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_ends_while_it_makes_one_leaves_nothing_in_the_way(
    two: Project, wheels: Wheels, end: signal.Signals, tmp_path: Path
):
    """Not the tool, and in the end no folder; the build of another checkout that waits goes on by itself."""
    wheels.answers.clear()
    first = two.start("build", "first")
    assert wheels.asked.wait(60)
    waiting = Project.copied(two.root, tmp_path / "other").start("build", "first")
    first.send_signal(end)
    assert first.wait(60) == (130 if end == signal.SIGINT else -9)
    wheels.answers.set()
    assert waiting.wait(60) == 0
    two.build("first").ran("first")
    assert [path.suffix for path in made()] == [""]


def test_a_cache_folder_that_cannot_be_used_is_no_defect(two: Project, tmp_path: Path):
    """A relative one is ignored; what is in the way is named, once for each task, and others go on."""
    (tmp_path / "file").touch()
    build = two.build("-k", "first", "apart", env={"XDG_CACHE_HOME": str(tmp_path / "file")})
    build.ended(1, failed=["first"], ran=["apart"]).said("`old` could not be made: Not a directory")
    two.build("first", env={"XDG_CACHE_HOME": "relative", "HOME": str(tmp_path / "home")}).ran("first")
    assert (tmp_path / "home/.cache/nbdag/environments").is_dir()
    assert not (two / "relative").exists()


def test_two_builds_make_an_environment_once(two: Project, tmp_path: Path):
    """Two checkouts begin together: one makes each environment, the other waits and uses it."""
    other = Project.copied(two.root, tmp_path / "other")
    builds = [
        subprocess.Popen(
            each.command("build"), cwd=each.root, env=each.environment(), stderr=subprocess.PIPE, text=True
        )
        for each in (two, other)
    ]
    said = "".join(build.communicate(timeout=240)[1] for build in builds)
    assert [build.returncode for build in builds] == [0, 0], said
    assert (said.count("making the environment `old`"), said.count("making the environment `new`")) == (1, 1)
    assert [each.read("second.txt") for each in (two, other)] == ["2.0 new", "2.0 new"]
    assert len(made()) == 2


def test_a_notebook_of_a_fresh_clone_runs_in_its_environment_with_a_kernel_that_nobody_locked(
    project: Project, wheels: Wheels
):
    """The kernel comes from the package index, in the version that nbdag was tested with; it is forked."""
    project.write("uv.lock", wheels.uv_lock(wheels.add("tool", "2.0"))).pipeline(
        """
        [environments.main]
        lock = "uv.lock"
        [defaults]
        environment = "main"
        [tasks.report]
        notebook = "report.py"
        outputs = ["report.txt"]
        [tasks.again]
        notebook = "again.py"
        """
    )
    project.notebook(
        "report.py",
        "import sys, tool\nimport nbmake_dag as nbdag",
        "nbdag.log_metric('size', 3)\nopen('report.txt', 'w').write(f'{tool.VERSION} {sys.prefix}')",
    )
    project.notebook("again.py", "import importlib.util as look", "assert look.find_spec('pandas') is None")
    build = project.build()
    build.ran("again", "report").said("making the environment `main`")
    version, prefix = project.read("report.txt").split(" ")
    assert (version, Path(prefix).resolve()) == ("2.0", made()[0].resolve())
    project.build().ran()
    assert "locked           ipykernel" in project.nbdag("explain", "report").stdout
    shown = project.nbdag("open", "report", "--print-path")
    kernel = json.loads(project.read(".nbdag/open/report/jupyter/kernels/nbdag-environment/kernel.json"))
    assert (shown.returncode, kernel["argv"][0]) == (0, str(made()[0] / "bin" / "python"))
    project.edit("again.py", "'pandas'", "'sys'")
    failed = project.edit("again.py", "import importlib.util as look", "import pandas").build()
    failed.ended(1, failed=["again"], up_to_date=["report"])
    failed.said("it is not in the lock file of the environment `main`")
    found = project.nbdag("doctor", "report", "again").stdout
    assert "pipeline.toml:4: task `again` imports `pandas`, which is not in uv.lock" in found
    assert "imports `tool`" not in found
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in project.nbdag("explain", "report").stdout


@pytest.mark.timing
def test_a_draft_goes_on_from_a_snapshot_in_its_environment(project: Project, wheels: Wheels):
    """The cells before an edit are not executed again, and what they imported is still that of the environment."""
    project.write("uv.lock", wheels.uv_lock(wheels.add("tool", "2.0"))).pipeline(
        """
        [kernel]
        snapshots = "500MB"
        [environments.main]
        lock = "uv.lock"
        [tasks.report]
        notebook = "report.py"
        environment = "main"
        outputs = ["report.txt"]
        """
    )
    project.notebook(
        "report.py",
        "import time, tool\nwith open('.nbdag/runs.txt', 'a') as file: print('slow', file=file)\ntime.sleep(0.5)",
        "result = 'old'",
        "import sys\nopen('report.txt', 'w').write(f'{tool.VERSION} {sys.prefix} {result}')",
    )
    with Watching(project) as watching:
        project.edit("report.py", "'old'", "'new'")
        watching.awaits("report.txt", f"2.0 {made()[0]} new")
        await_true(watching.rests, 30, "the build goes on")
        assert "draft from cell 2" in watching.text()
        assert project.read(".nbdag/runs.txt") == "slow\n"
        assert watching.end() == 143
    project.build().ran("report").said("report: the draft is confirmed by a run from the start")


def test_gc_removes_what_nobody_uses_and_leftovers_but_nothing_in_use(two: Project):
    """By the time of the last use; one that is locked stays, however old that is."""
    two.build().ran("apart", "first", "second")
    assert two.nbdag("cache", "gc", "--environments").stdout.endswith("removed 0 environments, 0 B\n")
    locks = [Path(f"{place}.lock") for place in made()]
    for lock in locks:
        os.utime(lock, (0, 0))
    Path(f"{made()[0]}.making-dead").mkdir()
    with locks[0].open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        two.nbdag("cache", "gc", "--environments")
        assert [Path(f"{place}.lock") for place in made() if ".making" not in place.name] == [locks[0]]
    two.nbdag("cache", "gc", "--environments")
    assert made() == []
    two.build("-B", "first").ran("first")
