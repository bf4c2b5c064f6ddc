"""`nbdag watch`: what it builds again, and what it leaves alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from operator import le
from pathlib import Path

import psutil
import pytest
from jupyter_server.services.contents.fileio import atomic_writing

from nbmake_dag.engine.request import Request
from nbmake_dag.observe.project import find_project
from nbmake_dag.watch.rebuilds import Rebuilds
from tests.support.project import Project, await_true
from tests.support.watching import Watching

pytestmark = pytest.mark.timing

SAVES = 10_000
FILES = 20_000
"""More than the kernel keeps events for."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """Watch a notebook, and beside it a task by which a test sees that all before it was met."""
    project = Project(tmp_path_factory.mktemp("saved") / "project")
    project.pipeline("""
        [tasks.note]
        notebook = "notebooks/note.py"
        outputs = ["out/note.txt"]

        [tasks.mark]
        command = "cp data/mark.txt out/mark.txt"
        inputs = ["data/mark.txt"]
        outputs = ["out/mark.txt"]
    """)
    project.write("data/mark.txt", "0")
    project.write("notebooks/note.py", source("first"))
    with Watching(project) as watching:
        yield watching
        assert watching.end() == 143
    await_true(lambda: not project.processes(), 15, f"still there: {project.processes()}")


def source(text: str) -> str:
    return f'# %%\nfile = open("out/note.txt", "w")\nfile.write("{text}")\nfile.close()\n'


def mark(watching: Watching) -> None:
    """Have a task of its own built: all that was saved before was then met."""
    number = str(watching.runs())
    watching.project.save("data/mark.txt", number)
    watching.awaits("out/mark.txt", number)
    await_true(watching.rests, 30, "the last build goes on")


def built(watching: Watching, task: str = "note") -> int:
    """Return how often a task was built, when all that was saved was met."""
    mark(watching)
    return len(re.findall(rf"{task} +ran in", watching.text()))


def in_place(path: Path, text: str) -> None:
    """Save as VS Code does."""
    path.write_text(text)


def in_pieces(path: Path, text: str) -> None:
    with path.open("w") as file:
        for line in text.splitlines(keepends=True):
            file.write(line)
            file.flush()


def renamed_over(path: Path, text: str) -> None:
    """Save as many do that want the old file or the new one, whatever happens."""
    temporary = path.with_name(f".~{path.name}")
    temporary.write_text(text)
    temporary.replace(path)


def with_jupyter(path: Path, text: str) -> None:
    with atomic_writing(str(path)) as file:
        file.write(text)


def as_vim_does(path: Path, text: str) -> None:
    """Probe the folder, keep the old file as a backup, write a new one, drop the backup."""
    probe, backup = path.with_name("4913"), path.with_name(f"{path.name}~")
    probe.touch()
    probe.unlink()
    path.rename(backup)
    with path.open("w") as file:
        file.write(text)
        os.fsync(file.fileno())
    backup.unlink()


def as_jetbrains_does(path: Path, text: str) -> None:
    temporary, old = path.with_name(f"{path.name}___jb_tmp___"), path.with_name(f"{path.name}___jb_old___")
    temporary.write_text(text)
    path.rename(old)
    temporary.rename(path)
    old.unlink()


def with_sed(path: Path, text: str) -> None:
    wanted = text.split('"')[5]
    subprocess.run(["sed", "-i", f's/write(".*")/write("{wanted}")/', path.name], cwd=path.parent, check=True)


@pytest.mark.parametrize(
    "save", [in_place, in_pieces, renamed_over, with_jupyter, as_vim_does, as_jetbrains_does, with_sed]
)
def test_a_save_is_followed_by_one_build(saved: Watching, save: Callable[[Path, str], None]) -> None:
    """However an editor saves, the result is that of the new text, after one build, or two."""
    before = built(saved)
    save(saved.project / "notebooks" / "note.py", source(save.__name__))
    saved.awaits("out/note.txt", save.__name__)
    assert built(saved) - before in {1, 2}


def test_executors_stay_warm_between_builds(project: Project) -> None:
    """Also where a build does not look at the interpreter, as all but the first of a pipeline of commands."""
    project.write("in.txt", "1\n").pipeline(
        """
        [tasks.a]
        command = "echo $PPID > worker.txt; cat in.txt > out.txt"
        inputs = ["in.txt"]
        outputs = ["out.txt", "worker.txt"]
        """
    )
    workers: set[str] = set()
    with Watching(project, "--executor=inline") as watch:
        for text in ("1\n", "2\n", "3\n"):
            project.save("in.txt", text)
            watch.awaits("out.txt", text)
            workers.add(project.read("worker.txt"))
        watch.end()
    assert len(workers) == 1


def test_a_later_build_reads_what_the_tasks_above_left_in_it(project: Project) -> None:
    """A value that an earlier build of the same watch told is not given again."""
    project.write("in.txt", "1").pipeline("""
        [tasks.above]
        function = "work:above"
        inputs = ["in.txt"]

        [tasks.below]
        function = "work:below"
        after = ["above"]
        outputs = ["out.txt"]
    """)
    project.write(
        "work.py",
        "from nbmake_dag import log_param, upstream\n"
        "def above():\n    log_param('text', open('in.txt').read())\n"
        "def below():\n    open('out.txt', 'w').write(upstream()['above'].params['text'])\n",
    )
    with Watching(project) as watching:
        for text in ("1", "22", "333"):
            project.save("in.txt", text)
            watching.awaits("out.txt", text)
        assert watching.end() == 143


def test_a_comment_is_not_followed_by_a_build(saved: Watching) -> None:
    """A save that changes nothing that counts is met with silence."""
    before = built(saved)
    with (saved.project / "notebooks" / "note.py").open("a") as file:
        file.write("# a thought\n")
    assert built(saved) == before


def test_a_failure_waits_for_its_cause_to_change(saved: Watching) -> None:
    """A failed task is not run again because something else changed, and is when its notebook is mended."""
    saved.project.save("notebooks/note.py", source("broken") + "1 / 0\n")
    saved.said("ZeroDivisionError: division by zero")
    failures = saved.text().count("failed after")
    mark(saved)
    mark(saved)
    assert saved.text().count("failed after") == failures
    saved.project.save("notebooks/note.py", source("mended"))
    saved.awaits("out/note.txt", "mended")


def test_an_invalid_pipeline_is_waited_out(saved: Watching) -> None:
    """What is wrong with the pipeline is said once; when that is mended, what changed meanwhile is built."""
    text = saved.project.read("pipeline.toml")
    saved.project.save("pipeline.toml", text + "[tasks.more]\n")
    saved.said("has nothing to run")
    saved.project.save("data/mark.txt", "meanwhile")
    saved.project.save("pipeline.toml", text)
    saved.awaits("out/mark.txt", "meanwhile")
    assert saved.text().count("has nothing to run") == 1


def test_that_all_is_well_again_is_said_once(saved: Watching) -> None:
    """Where nothing has to be built for that: what was broken is as it was before."""
    mark(saved)
    note, pipeline = saved.project.read("notebooks/note.py"), saved.project.read("pipeline.toml")
    well = "2 tasks: 0 ran, 0 restored, 2 up to date in"
    before, failures = saved.text().count(well), saved.text().count("failed after")
    for times in (1, 2):
        saved.project.save("notebooks/note.py", source("worse") + "1 / 0\n")
        saved.said("failed after", times=failures + times)
        saved.project.save("notebooks/note.py", note)
        saved.said(well, times=before + times)
    saved.project.save("pipeline.toml", pipeline + "[tasks.less]\n")
    saved.said("`less`")
    saved.project.save("pipeline.toml", pipeline)
    saved.said(well, times=before + 3)
    mark(saved)
    assert saved.text().count(well) == before + 3


def test_another_build_is_taken_in(saved: Watching) -> None:
    """What `nbdag build` did meanwhile is not done again, and does not wait for the watch."""
    before = built(saved)
    assert saved.project.build("--no-wait", "-B", "note").having("ran") == ["note"]
    saved.elsewhere += 1
    assert built(saved) == before


def test_many_files_at_once_are_one_change(project: Project) -> None:
    """A checkout of 500 files is followed by one build, or two, that leave what a build leaves."""
    project.pipeline("""
        [tasks.all]
        command = "cat many/*.txt > out/all.txt"
        inputs = ["many/*.txt"]
        outputs = ["out/all.txt"]

        [tasks.mark]
        command = "cp data/mark.txt out/mark.txt"
        inputs = ["data/mark.txt"]
        outputs = ["out/mark.txt"]
    """)
    project.write(".gitignore", "/.nbdag/\n/data/\n/out/\n").write("data/mark.txt", "0")
    for number in range(500):
        project.write(f"many/{number:03}.txt", f"{number}\n")
    project.commit()
    project.git("checkout", "-q", "-b", "other")
    for number in range(500):
        project.write(f"many/{number:03}.txt", f"{number + 1}\n")
    project.commit()
    project.git("checkout", "-q", "main")
    with Watching(project) as watching:
        before = built(watching, "all")
        project.git("checkout", "-q", "other")
        watching.awaits("out/all.txt", "".join(f"{number + 1}\n" for number in range(500)))
        assert built(watching, "all") - before in {1, 2}
        watching.end()
        assert project.build().having("up_to_date") == ["all", "mark"]


def test_what_became_pointless_is_stopped(project: Project) -> None:
    """A change during a build stops the task that it concerns, and no other."""
    project.pipeline("""
        [tasks.slow]
        command = "touch began; while test -e wait; do sleep 0.1; done; cp data/slow.txt slow.out"
        inputs = ["data/slow.txt"]
        outputs = ["slow.out"]

        [tasks.below]
        command = "cp slow.out below.out"
        inputs = ["slow.out"]
        outputs = ["below.out"]
    """)
    project.write("data/slow.txt", "1").write("wait", "")
    with Watching(project, builds=False) as watching:
        await_true((project / "began").exists, 60, "it did not begin")
        project.remove("began").save("data/slow.txt", "2")
        await_true((project / "began").exists, 60, "it was not begun again")
        project.remove("wait")
        watching.awaits("below.out", "2")
        assert watching.end(signal.SIGINT) == 130


@pytest.mark.parametrize("lost", [".nbdag", ".nbdag/state/attempts"])
def test_a_watch_survives_the_loss_of_its_own_files(project: Project, lost: str) -> None:
    """Somebody removes ``.nbdag``, by hand or with git: the next edit is built as any."""
    project.pipeline("""
        [tasks.note]
        notebook = "notebooks/note.py"
        outputs = ["out/note.txt"]
    """)
    project.write("notebooks/note.py", source("first"))
    with Watching(project) as watching:
        shutil.rmtree(project / lost)
        project.save("notebooks/note.py", source("second"))
        watching.awaits("out/note.txt", "second")
        project.save("notebooks/note.py", source("third"))
        watching.awaits("out/note.txt", "third")
        await_true((project / ".nbdag" / "state" / "lock").exists, 30, "it is not made again")
        assert "error" not in watching.text()
        assert watching.end() == 143


def test_a_file_that_is_in_the_middle_of_a_save_is_not_complained_about(saved: Watching) -> None:
    """Editors empty a file before they write it: what is wrong for a moment is nobody's fault."""
    text = saved.project.read("pipeline.toml")
    before = saved.text().count("error")
    saved.project.save("pipeline.toml", "")
    time.sleep(0.1)
    saved.project.save("pipeline.toml", text)
    mark(saved)
    assert saved.text().count("error") == before


def test_a_folder_that_comes_and_goes_is_watched(project: Project) -> None:
    """Files of a folder that was removed, and made again, are seen as those of before."""
    project.pipeline("""
        [tasks.all]
        command = "cat data/*.txt > all.out"
        inputs = ["data/*.txt"]
        outputs = ["all.out"]
    """)
    project.write("data/a.txt", "1")
    with Watching(project) as watching:
        shutil.rmtree(project / "data")
        project.write("data/a.txt", "2")
        watching.awaits("all.out", "2")
        project.write("data/b.txt", "3")
        watching.awaits("all.out", "23")
        watching.end()


@pytest.mark.slow
def test_polling_sees_what_events_would(project: Project) -> None:
    """With ``--poll`` a change is seen without events."""
    project.pipeline("""
        [tasks.copy]
        command = "cp data/a.txt a.out"
        inputs = ["data/a.txt"]
        outputs = ["a.out"]
    """)
    project.write("data/a.txt", "1")
    with Watching(project, "--poll") as watching:
        project.save("data/a.txt", "2")
        watching.awaits("a.out", "2")
        watching.end()


@pytest.mark.fault
@pytest.mark.slow
def test_a_storm_of_saves_ends_in_the_last(saved: Watching) -> None:
    """Ten thousand saves, as fast as they can be: the last one is built, then there is rest (15 s)."""
    path = saved.project / "notebooks" / "note.py"
    for number in range(SAVES):
        path.write_text(source(f"save {number}"))
    saved.awaits("out/note.txt", f"save {SAVES - 1}")
    before = built(saved)
    assert built(saved) == before


@pytest.mark.fault
@pytest.mark.slow
def test_lost_events_are_made_up_for(project: Project) -> None:
    """While the watch stands still, more happens than the kernel can tell: that is built all the same (15 s)."""
    project.pipeline("""
        [tasks.copy]
        command = "cp data/a.txt a.out"
        inputs = ["data/a.txt"]
        outputs = ["a.out"]
    """)
    project.write("data/a.txt", "1")
    with Watching(project) as watching:
        watching.process.send_signal(signal.SIGSTOP)
        for number in range(FILES):
            (project / f"data/{number}.tmp").touch()
        project.save("data/a.txt", "2")
        watching.process.send_signal(signal.SIGCONT)
        watching.awaits("a.out", "2")
        await_true(watching.rests, 30, "the last build goes on")
        assert project.build("--no-wait").having("up_to_date") == ["copy"]
        watching.end()


@pytest.mark.fault
@pytest.mark.parametrize(
    ("rebuilds", "arguments"),
    [
        (3, ("--serve",)),
        pytest.param(20, ("--serve",), marks=pytest.mark.slow),
        pytest.param(20, (), marks=pytest.mark.slow),
        pytest.param(200, (), marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
    ids=["3, served", "20, served", "20", "200"],
)
def test_rebuilding_leaves_nothing_behind(project: Project, rebuilds: int, arguments: tuple[str, ...]) -> None:
    """After many builds nothing has grown: descriptors, threads, processes, memory (200: 2 min)."""
    project.pipeline("""
        [kernel]
        snapshots = 0

        [tasks.note]
        notebook = "notebooks/note.py"
        outputs = ["out/note.txt"]
    """)
    project.write("notebooks/note.py", source("first"))
    with Watching(project, *arguments) as watching:
        process = psutil.Process(watching.process.pid)

        def rebuild(times: int) -> None:
            for number in range(times):
                project.save("notebooks/note.py", source(f"{times} {number}"))
                watching.awaits("out/note.txt", f"{times} {number}")
                await_true(watching.rests, 30, "the build goes on")

        def size() -> tuple[int, int, int]:
            return process.num_fds(), process.num_threads(), len(process.children(recursive=True))

        rebuild(5)
        few, memory = size(), process.memory_info().rss
        rebuild(rebuilds)
        await_true(lambda: all(map(le, size(), few)), 10, f"{size()} is more than {few}")
        await_true(lambda: process.memory_info().rss - memory < 4 << 20, 10, "it has grown")


def test_the_folders_that_links_lead_to_are_watched(tmp_path: Path) -> None:
    """Also those on the way, and where a link leads nowhere yet."""
    project = (
        Project(tmp_path / "project").write("store/a.txt", "").write("hop/kept.txt", "").write("data/b.txt", "")
    )
    project.pipeline("""
        [tasks.a]
        command = "true"
        inputs = ["a.txt", "data/"]
    """)
    (project / "a.txt").symlink_to("hop/a.txt")
    (project / "hop/a.txt").symlink_to("../store/a.txt")
    (project / "data/c.txt").symlink_to("../late/c.txt")
    (project / "late").mkdir()
    with closing(Rebuilds(find_project(str(project.root)), Request())) as rebuilds:
        rebuilds.look()
        watched = {os.path.relpath(folder, project.root) for folder in rebuilds.folders()}
    assert watched >= {".", "hop", "store", "data", "late"}
