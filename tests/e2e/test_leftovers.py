"""Files that tasks left: moved away before anything runs where that loses nothing, else ordinary files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from nbmake_dag.engine.state.made_files import MadeFiles
from nbmake_dag.engine.state.rescued_files import read_rescued
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.observe import git
from nbmake_dag.observe.project import find_project
from nbmake_dag_cache import records
from nbmake_dag_cache.record import Record
from tests.support.project import Project, await_true

TRAIN = """
    [tasks.train]
    command = "echo {n} > out/m{n}.txt"
    matrix = {{ n = [{numbers}] }}
    outputs = ["out/m{{n}}.txt"]
"""
SUM = """
    [tasks.sum]
    command = "cat out/*.txt > res.txt"
    inputs = ["out/*.txt"]
    outputs = ["res.txt"]
"""


def write_pipeline(project: Project, numbers: str, sum_up: str = SUM) -> Project:
    train = TRAIN.replace("{n} >", "{{n}} >").replace("m{n}", "m{{n}}").format(numbers=numbers)
    return project.pipeline(train + sum_up)


@pytest.fixture
def trained(project: Project) -> Project:
    """Build both instances, then remove the second one from the pipeline."""
    write_pipeline(project, "1, 2").build().ran("train[n=1]", "train[n=2]", "sum")
    return write_pipeline(project, "1")


@pytest.mark.parametrize("lost", [(), (".nbdag/state",)])
def test_what_a_removed_instance_left_reaches_no_result(trained: Project, lost: tuple[str, ...]) -> None:
    """Whoever lists the folder finds what a clean build would, with the state and without it."""
    trained.remove(*lost)
    trained.build().ran("sum").said("moved away: out/m2.txt was left by a task that no longer exists")
    assert (trained.read("res.txt"), (trained / "out/m2.txt").exists()) == ("1\n", False)
    assert "m2" not in trained.build().ran().err
    trained.remove(".nbdag/state").build().ran()


def test_a_notebook_that_lists_the_folder_itself_finds_no_leftover(project: Project) -> None:
    """Its own glob is no declared one."""
    project.notebook("sum.py", 'import glob\nopen("res.txt", "w").write(" ".join(sorted(glob.glob("out/*"))))')
    reads = '\n[tasks.sum]\nnotebook = "sum.py"\ninputs = ["out/"]\noutputs = ["res.txt"]\n'
    write_pipeline(project, "1, 2", reads).build().ran("train[n=1]", "train[n=2]", "sum")
    write_pipeline(project, "1", reads).build().ran("sum")
    assert project.read("res.txt") == "out/m1.txt"


def test_going_back_restores_a_leftover(trained: Project) -> None:
    """Nothing runs again for it, and the plan before a build is that of the build."""
    assert "sum" in trained.nbdag("status").stdout
    assert (trained / "out/m2.txt").exists()
    trained.build().ran("sum")
    write_pipeline(trained, "1, 2").build().ran().restored("train[n=2]", "sum")
    assert (trained.read("out/m2.txt"), trained.read("res.txt")) == ("2\n", "1\n2\n")


def test_what_an_output_was_before_it_was_renamed_is_a_leftover(project: Project) -> None:
    """The task still exists, and makes another file; its last result does not have the old one."""
    make = '[tasks.a]\ncommand = "echo a > {0}"\noutputs = ["{0}"]\n'
    count = '[tasks.count]\ncommand = "ls out > n.txt"\ninputs = ["out/"]\noutputs = ["n.txt"]\n'
    for name in ("out/first.txt", "out/second.txt", "out/third.txt"):
        project.pipeline(make.format(name) + count).build("a").ran("a")
    project.build().ran("count")
    assert project.read("n.txt") == "third.txt\n"


def test_a_folder_that_a_removed_task_made_goes_with_its_files(project: Project) -> None:
    """A file of the user in it stays, and the folder with it."""
    folders = "".join(
        f'[tasks.{name}]\ncommand = "mkdir -p {name}/deep; touch {name}/deep/x"\noutputs = ["{name}/"]\n'
        for name in ("one", "two")
    )
    keep = '[tasks.keep]\ncommand = "touch k.txt"\noutputs = ["k.txt"]\n'
    project.pipeline(folders + keep).build().ran("one", "two", "keep")
    project.pipeline(keep).write("two/notes.txt", "mine")
    project.build().ran().said("one/deep/x and 1 more were left by tasks that no longer exist")
    assert not (project / "one").exists()
    assert sorted(path.name for path in (project / "two").rglob("*")) == ["notes.txt"]


def test_no_folder_stays_that_held_only_leftovers(project: Project) -> None:
    """Neither one around a file, nor an empty one in a folder: whoever lists folders would find it."""
    project.pipeline(
        """
        [tasks.one]
        command = "mkdir -p out/one/deep && echo 1 > out/one/deep/x"
        outputs = ["out/one/deep/x"]

        [tasks.two]
        command = "mkdir -p out/two/empty && echo 2 > out/two/x"
        outputs = ["out/two/"]

        [tasks.keep]
        command = "touch out/k"
        outputs = ["out/k"]
        """
    )
    project.build().ran("one", "two", "keep")
    project.pipeline('[tasks.keep]\ncommand = "touch out/k"\noutputs = ["out/k"]\n').build().ran()
    assert sorted(path.name for path in (project / "out").rglob("*")) == ["k"]


def test_a_link_that_a_task_made_is_moved_away_and_not_what_it_leads_to(project: Project) -> None:
    """Files of the user are reached by it, which no git and no pipeline file names."""
    project.write("data/own.txt", "own\n")
    links = """
        [tasks.file]
        command = "ln -s ../data/own.txt out/link.txt"
        outputs = ["out/link.txt"]

        [tasks.folder]
        command = "mkdir out/folder && ln -s ../../data out/folder/data"
        outputs = ["out/folder/"]
    """
    keep = '\n[tasks.keep]\ncommand = "ls . > k"\ninputs = ["out/**"]\noutputs = ["k"]\n'
    project.pipeline(links + keep).build().ran("file", "folder", "keep")
    project.pipeline(keep).build().ran("keep")
    assert "out" not in project.read("k").split()
    assert project.read("data/own.txt") == "own\n"


@pytest.mark.timing
def test_what_only_git_keeps_is_looked_at_again_when_git_does_not(trained: Project) -> None:
    """Also by a build with nothing to do."""
    trained.git("init", "-q")
    trained.git("add", "-f", "out/m2.txt")
    trained.build().ran("sum")
    assert trained.read("res.txt") == "1\n2\n"
    known = trained / ".nbdag/state/unchanged"
    await_true(lambda: trained.build().ran() and known.is_dir(), 60, "what was just written is not at rest yet")
    trained.git("rm", "-q", "--cached", "out/m2.txt")
    trained.build().ran("sum")
    assert trained.read("res.txt") == "1\n"


def edited(project: Project) -> None:
    project.write("out/m2.txt", "mine\n")


def committed(project: Project) -> None:
    project.git("init", "-q")
    project.git("add", "out/m2.txt")


def without_blob(project: Project) -> None:
    shutil.rmtree(project / ".nbdag/cache/blobs")


def without_record(project: Project) -> None:
    shutil.rmtree(project / ".nbdag/cache/records")


def input_by_its_path(project: Project) -> None:
    take = '\n    [tasks.take]\n    command = "true"\n    inputs = ["out/m2.txt"]\n'
    write_pipeline(project, "1", SUM + take)


def output_in_another_file(project: Project) -> None:
    project.write("other.toml", '[tasks.t]\ncommand = "echo 2 > out/m2.txt"\noutputs = ["out/m2.txt"]\n')


def input_in_another_file(project: Project) -> None:
    project.write("other.toml", '[tasks.t]\ncommand = "true"\ninputs = ["out/m2.txt"]\n')


def perhaps_in_another_file(project: Project) -> None:
    project.write("other.toml", '[tasks.t]\ncommand = "true"\ninputs = ["out/m2.t\n')


@pytest.mark.parametrize(
    "spoil",
    [
        edited,
        committed,
        without_blob,
        without_record,
        input_by_its_path,
        output_in_another_file,
        input_in_another_file,
        perhaps_in_another_file,
    ],
)
def test_any_other_file_that_a_task_left_is_an_ordinary_one(
    trained: Project, spoil: Callable[[Project], None]
) -> None:
    """It stays, is an input of whatever glob matches it, and an edit of it shows, also without the state."""
    spoil(trained)
    build = trained.build()
    assert (build.code, "moved away" in build.err) == (0, False), build.err
    assert trained.read("res.txt") == f"1\n{trained.read('out/m2.txt')}"
    trained.build().ran()
    trained.remove(".nbdag/state").build().ran()
    trained.write("out/m2.txt", "edited\n").build()
    assert trained.read("res.txt") == "1\nedited\n"


def test_git_is_asked_without_what_git_itself_calls_local_to_a_repository() -> None:
    """But with its configuration, which may say that a repository of somebody else is safe."""
    listed = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    config = {"GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    assert set(listed.stdout.split()) - config <= git._POINTERS


@pytest.mark.parametrize("names", ["GIT_DIR", "GIT_DIR GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_git_is_asked_about_the_repository_of_the_project(trained: Project, tmp_path: Path, names: str) -> None:
    """In a hook of another repository the variables of git name that one, which tracks nothing here."""
    trained.commit().git("add", "-f", "out/m2.txt")
    other = Project(tmp_path / "other").write("a.txt", "").commit()
    places = {"GIT_DIR": ".git", "GIT_WORK_TREE": "", "GIT_INDEX_FILE": ".git/index"}
    hook = {name: str(other / places[name]) for name in names.split()}
    assert "moved away" not in trained.build(env=hook).err
    assert (trained.read("res.txt"), trained.read("out/m2.txt")) == ("1\n2\n", "2\n")
    trained.git("branch", "-f", "base")
    edited = write_pipeline(trained, "1, 3")
    chosen = edited.build("--affected=base", env={**hook, "CI": "", "GITHUB_ACTIONS": ""})
    chosen.ran("train[n=3]", "sum").said("2 of 3 tasks are affected since base")


def test_where_git_does_not_tell_what_it_tracks_files_stay_and_each_build_says_so(trained: Project) -> None:
    """Such as where the repository belongs to somebody else. They go as soon as it does."""
    config = trained.write(".gitignore", "/.nbdag/\n/out/\n").commit().read(".git/config")
    trained.write(".git/config", "[core")
    for ran in (["sum"], []):
        build = trained.build().ran(*ran).said("so files of tasks that no longer exist stay")
        build.said("warning: git does not tell what it tracks here (fatal: bad config line")
        assert (build.code, trained.read("res.txt")) == (0, "1\n2\n")
    trained.write(".git/config", config)
    trained.build().ran("sum").said("moved away: out/m2.txt was left by a task that no longer exists")
    assert trained.read("res.txt") == "1\n"


def test_a_file_counts_as_left_when_the_other_pipeline_file_drops_it(trained: Project) -> None:
    """A build with nothing to do notices that, as one that looks at everything does."""
    output_in_another_file(trained)
    trained.build().ran("sum")
    trained.build().ran()
    trained.write("other.toml", '[tasks.t]\ncommand = "true"\n').build().ran("sum").said("moved away: out/m2.txt")
    assert trained.read("res.txt") == "1\n"


def test_accepted_bytes_that_were_left_are_kept_for_ever(project: Project) -> None:
    """No task can make them again."""
    write_pipeline(project, "1, 2").write("out/m1.txt", "1\n").write("out/m2.txt", "by hand\n").write(
        "res.txt", ""
    )
    project.build("--accept")
    write_pipeline(project, "1").build().said("moved away: out/m2.txt")
    kept = {item.path: item.sha256 for item in read_rescued(find_project(str(project.root)))}
    assert sorted(kept) == ["out/m1.txt", "out/m2.txt", "res.txt"]
    assert kept["out/m2.txt"] == sha256(b"by hand\n").hexdigest()


MAKE = '[tasks.make]\ncommand = "cp source.txt data/x.txt"\ninputs = ["source.txt"]\noutputs = ["data/x.txt"]\n'
USE = '[tasks.use]\ncommand = "cat data/*.txt > used.txt"\ninputs = ["data/*.txt"]\noutputs = ["used.txt"]\n'


@pytest.fixture
def two(project: Project) -> Project:
    return project.write("a.toml", MAKE).write("b.toml", USE).write("source.txt", "1\n").write("data/0.txt", "0\n")


@pytest.mark.parametrize("lost", [(), (".nbdag/state",)])
def test_two_pipeline_files_of_a_folder_see_the_files_of_each_other(two: Project, lost: tuple[str, ...]) -> None:
    """First the one that makes a file, then the one that uses it; after a change of the first as well."""
    two.build("-f", "a.toml").ran("make")
    two.remove(*lost).build("-f", "b.toml").ran("use")
    two.build("-f", "b.toml").ran()
    two.write("source.txt", "2\n").build("-f", "a.toml").ran("make")
    two.remove(*lost).build("-f", "b.toml").ran("use")
    assert two.read("used.txt") == "0\n2\n"
    two.remove(*lost).build("-f", "a.toml").ran()
    two.build("-f", "b.toml").ran()


@pytest.mark.parametrize("lost", [(), (".nbdag/state",)])
def test_so_they_do_in_the_other_order(two: Project, lost: tuple[str, ...]) -> None:
    """First the one that uses a file, then the one that makes it."""
    two.build("-f", "b.toml").ran("use")
    two.remove(*lost).build("-f", "a.toml").ran("make")
    two.remove(*lost).build("-f", "b.toml").ran("use")
    assert two.read("used.txt") == "0\n1\n"
    two.remove("a.toml").build("-f", "b.toml").ran()
    assert two.read("used.txt") == "0\n"


@pytest.mark.parametrize(
    ("use", "other"),
    [
        ('command = "python tools/step.py"', "pipeline.toml"),
        ('command = "python tools/step.py"', "other.toml"),
        ('notebook = "use.py"', "pipeline.toml"),
    ],
)
def test_a_script_or_module_that_a_task_uses_is_no_leftover(project: Project, use: str, other: str) -> None:
    """Its own pipeline file names none of them, the code of another task does."""
    step = "open('used.txt', 'w').write('1')\n"
    generate = (
        '[tasks.gen]\ncommand = "cp step.txt tools/step.py"\ninputs = ["step.txt"]\noutputs = ["tools/step.py"]\n'
    )
    used = f'[tasks.use]\n{use}\noutputs = ["used.txt"]\n'
    keep = '[tasks.keep]\ncommand = "touch k.txt"\noutputs = ["k.txt"]\n'
    project.write("step.txt", step).write("tools/.keep", "").write("use.py", "import tools.step\n")
    project.pipeline(generate + keep).build().ran("gen", "keep")
    project.pipeline(keep)
    project.write(other, used + (keep if other == "pipeline.toml" else ""))
    build = project.build()
    assert "moved away" not in build.err
    assert project.read("tools/step.py") == step
    project.build("-f", other)
    assert project.read("used.txt") == "1"


def test_an_override_makes_no_leftovers_of_what_the_file_names(project: Project) -> None:
    """The instances that it replaces are there again in the next build without it."""
    write_pipeline(project, "1, 2").build().ran("train[n=1]", "train[n=2]", "sum")
    assert "moved away" not in project.build("-p", "n=3").err
    assert [(project / f"out/m{number}.txt").exists() for number in (1, 2, 3)] == [True, True, True]


def test_a_module_that_only_running_finds_is_no_leftover(project: Project) -> None:
    """It is in use as long as the task that was seen to import it exists."""
    maker = '[tasks.gen]\ncommand = "echo V = 1 > generated.py"\noutputs = ["generated.py"]\n'
    user = '[tasks.use]\nfunction = "work:run"\nafter = ["gen"]\n'
    project.write("work.py", "import importlib\ndef run():\n    importlib.import_module('generate' + chr(100))\n")
    project.pipeline(maker + user).build()
    project.build()
    project.pipeline(user.replace('after = ["gen"]\n', "")).build()
    assert (project / "generated.py").exists()
    said = project.pipeline('[tasks.other]\ncommand = "true"\n').build()
    assert not (project / "generated.py").exists(), said.err


def test_only_new_records_are_decoded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at everything costs what is new, however many records there are."""
    table = '[tasks.many]\ncommand = "echo {n} > {n}.txt"\noutputs = ["{n}.txt"]\nmatrix = { n = '
    project.pipeline(f"{table}[1, 2, 3] }}").build()
    decoded: list[str] = []
    read = records.read_record

    def noting(path: str) -> Record:
        decoded.append(path)
        return read(path)

    monkeypatch.setattr(records, "read_record", noting)
    for expected, new in ((3, 3), (3, 0), (4, 1), (4, 0)):
        if expected == 4:
            project.pipeline(f"{table}[1, 2, 3, 4] }}").nbdag("build")
        stores = Stores.open(find_project(str(project.root)))
        decoded.clear()
        assert len(MadeFiles(stores).read().files) == expected
        assert len(decoded) <= new
        stores.close()


def test_an_exact_input_that_no_task_makes_any_more_is_reported_each_time(project: Project) -> None:
    """What an edited pipeline reads may be an old result, until it is committed as a source, or made again."""
    make = '[tasks.fit]\ncommand = "echo {n} > {{path}}"\noutputs = ["{path}"]\n'.replace("{{path}}", "{path}")
    read = '[tasks.sum]\ncommand = "cat fit.txt > res.txt"\ninputs = ["fit.txt"]\noutputs = ["res.txt"]\n'
    old = "warning: input `fit.txt` of task `sum` is an output that no task makes any more"
    project.pipeline(make.format(n=1, path="fit.txt") + read).build().ran("fit", "sum")
    moved = project.pipeline(make.format(n=1, path="other.txt") + read)
    moved.build().ran("fit", "sum").said(old)
    moved.build().ran().said(old)
    assert old in moved.nbdag("status").stderr
    assert "no task makes" not in moved.commit().build().ran().err
