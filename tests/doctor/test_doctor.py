"""`nbdag doctor`: what it finds in a pipeline, and what it says to change."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nbmake_dag.doctor.machine import remote_file_system
from nbmake_dag.observe.project import Project as ProjectPaths
from tests.support.project import Project

HEALTHY = """
[tasks.words]
command = "cat text.txt > words.txt"
inputs = ["text.txt"]
outputs = ["words.txt"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project").write("text.txt", "one\n").pipeline(HEALTHY)


def _git(project: Project, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project.root, check=True, capture_output=True)


def _examine(project: Project, *arguments: str) -> tuple[int, str]:
    done = project.nbdag("doctor", *arguments)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, done.stdout


def test_a_healthy_pipeline_has_nothing_to_change(project: Project) -> None:
    """The task was executed again elsewhere, and the project is as it was."""
    project.write(".gitignore", "/.nbdag/\n/words.txt\n")
    _git(project, "init")
    project.build().ran("words")
    before = project.contents(["words.txt", ".nbdag/runs", ".nbdag/cache"])
    done = project.nbdag("doctor")
    said = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "")
    assert said[-2:] == ["words is executed again in a temporary copy", "nothing to change"]
    assert project.contents(["words.txt", ".nbdag/runs", ".nbdag/cache"]) == before


@pytest.mark.parametrize("command", [("doctor",), ("replay", "--run", "latest")])
def test_a_repository_that_git_cannot_read_is_copied_as_a_folder(
    project: Project, command: tuple[str, ...]
) -> None:
    """Such as a work tree whose main repository is gone: its `.git` is a file that leads nowhere."""
    project.write(".git", "gitdir: /nowhere/at/all\n").build().ran("words")
    done = project.nbdag(*command)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr


def test_before_the_first_build_nothing_is_executed(project: Project) -> None:
    """Without a result there is nothing to compare with."""
    done = project.nbdag("doctor")
    assert (done.returncode, done.stderr.splitlines()[3:]) == (0, ["nothing to change"])
    assert not (project / "words.txt").exists()


def test_outputs_in_git_and_a_state_that_is_not_ignored_are_found(project: Project) -> None:
    """The lines to change are commands and lines that can be copied."""
    _git(project, "init")
    project.write("words.txt", "one\n").write(".nbdag/state/from-before", "")
    _git(project, "add", "words.txt")
    code, out = _examine(project)
    assert code == 1
    assert out == (
        ".gitignore: `.nbdag/` is not ignored by git\n"
        "  hint: add the line `/.nbdag/`\n"
        "pipeline.toml:4: output `words.txt` of task `words` is tracked by git\n"
        "  hint: git rm -r --cached words.txt && echo /words.txt >> .gitignore\n"
    )


def test_git_ignores_a_state_that_is_new(project: Project) -> None:
    """From the first build on, without a line of the user's; what the user made of that file stays."""
    _git(project, "init")
    project.build().ran("words")
    assert project.git("status", "--porcelain").split() == [
        "??",
        "pipeline.toml",
        "??",
        "text.txt",
        "??",
        "words.txt",
    ]
    project.write(".nbdag/.gitignore", "mine").build()
    assert project.nbdag("clean", "--cache", "--yes").returncode == 0
    assert project.read(".nbdag/.gitignore") == "mine"


def test_a_task_that_leaves_other_bytes_each_time_is_found(project: Project) -> None:
    """The same key and other digests: chance, time or the folder decides."""
    project.pipeline('[tasks.dice]\ncommand = "head -c 8 /dev/urandom > dice.bin"\noutputs = ["dice.bin"]\n')
    project.build().ran("dice")
    code, out = _examine(project)
    assert (code, out.splitlines()[0]) == (
        1,
        "pipeline.toml:3: `dice.bin` of task `dice` differs each time",
    )


def test_data_that_is_expected_to_change_is_not_chosen(project: Project) -> None:
    """A task with `max_age` takes something from outside."""
    project.pipeline(
        '[tasks.dice]\ncommand = "head -c 8 /dev/urandom > dice.bin"\noutputs = ["dice.bin"]\nmax_age = "1d"\n'
    )
    project.build().ran("dice")
    assert _examine(project) == (0, "")


def test_a_task_that_needs_a_file_nothing_names_fails_in_the_copy(project: Project) -> None:
    """A file that git ignores and no input declares is not there."""
    project.write(".gitignore", "/.nbdag/\n/secret.txt\n").write("secret.txt", "x")
    project.pipeline('[tasks.a]\ncommand = "cat secret.txt > a.txt"\noutputs = ["a.txt"]\n')
    _git(project, "init")
    project.build().ran("a")
    code, out = _examine(project, "a")
    assert code == 1
    assert out.startswith("pipeline.toml:1: task `a` fails in a copy of the repository: exit: exit status 1\n")

    (project / "secret.txt").unlink()
    run = project.build("--force", "a").ended(1, failed=["a"]).summary["run_id"]
    fails = f"pipeline.toml:1: task `a` fails as it did in run {run}: exit: exit status 1\n"
    assert _examine(project, "a")[1] == f"{fails}  hint: `nbdag show {run} a` shows where\n"
    project.edit("pipeline.toml", "outputs", 'secrets = ["NBDAG_TEST_TOKEN"]\noutputs')
    assert _examine(project, "a")[1] == f"{fails}  hint: set NBDAG_TEST_TOKEN, which it declares in `secrets`\n"


def test_the_tasks_above_are_taken_from_the_cache(project: Project) -> None:
    """Only the task that is named is executed, although its input is an output that git does not have."""
    project.write(".gitignore", "/.nbdag/\n/*.txt\n!/text.txt\n")
    project.pipeline(
        """
        [tasks.slow]
        command = "echo x >> counter.txt; cat text.txt > slow.txt"
        inputs = ["text.txt"]
        outputs = ["slow.txt"]

        [tasks.end]
        command = "cat slow.txt > end.txt"
        inputs = ["slow.txt"]
        outputs = ["end.txt"]
        """
    )
    _git(project, "init")
    project.build().ran("slow", "end")
    assert _examine(project, "end") == (0, "")
    assert "was executed; `nbdag doctor '*'` executes all 2\n" in project.nbdag("doctor").stderr


def test_what_lies_beside_the_repository_is_copied_with_it(tmp_path: Path) -> None:
    """However far above; nothing is written outside of the temporary folder, which is gone afterwards."""
    (tmp_path / "beside.txt").write_text("x")
    project = Project(tmp_path / "a/project").pipeline(
        '[tasks.a]\ncommand = "cat ../../beside.txt > a.txt"\ninputs = ["../../beside.txt"]\noutputs = ["a.txt"]\n'
    )
    (tmp_path / "temporary").mkdir()
    project.build().ran("a")
    done = project.nbdag("doctor", env={"TMPDIR": str(tmp_path / "temporary")})
    assert (done.returncode, done.stdout) == (0, "")
    assert not list((tmp_path / "temporary").rglob("beside.txt"))


def test_what_a_notebook_does_to_the_repository_is_seen(project: Project) -> None:
    """An undeclared read, an input that is not read, and a path that holds on one machine only."""
    project.write("more.txt", "two\n").write("unread.txt", "").write(".gitignore", "/.nbdag/\n/b.txt\n")
    _git(project, "init")
    project.notebook(
        "notebooks/b.py",
        "# markdown\nTitle",
        f"""
        from pathlib import Path
        elsewhere = "{project.root}/text.txt"
        Path("b.txt").write_text(Path("text.txt").read_text() + Path("more.txt").read_text())
        """,
    )
    project.pipeline(
        """
        [tasks.b]
        notebook = "notebooks/b.py"
        inputs = ["text.txt", "unread.txt"]
        outputs = ["b.txt"]
        """
    )
    project.build().ran("b")
    code, out = _examine(project, "b")
    assert code == 1
    assert out == (
        f"notebooks/b.py:6: `{project.root}/text.txt` is an absolute path\n"
        "  hint: write `text.txt`, which is relative to pipeline.toml\n"
        "pipeline.toml:3: task `b` read `more.txt` and does not declare it\n"
        '  hint: add "more.txt" to its `inputs`\n'
        "pipeline.toml:3: task `b` does not read its input `unread.txt`, and writes the same without it\n"
        "  hint: leave it out\n"
    )


def test_what_is_needed_is_never_to_be_left_out(project: Project) -> None:
    """A file that an installed package reads by its own place, and one that another program reads."""
    project.write(".gitignore", "/.nbdag/\n/c.txt\n").write("config.yaml", "a: 1\n")
    _git(project, "init")
    project.write(
        "src/installed.py",
        "from pathlib import Path\ndef load():\n"
        "    return (Path(__file__).resolve().parents[1] / 'config.yaml').read_text()\n",
    )
    project.notebook(
        "c.py",
        """
        import subprocess, installed
        said = subprocess.run(["cat", "text.txt"], capture_output=True, text=True).stdout
        open("c.txt", "w").write(installed.load() + said)
        """,
    )
    project.pipeline('[tasks.c]\nnotebook = "c.py"\ninputs = ["config.yaml", "text.txt"]\noutputs = ["c.txt"]\n')
    installed = {"PYTHONPATH": str(project / "src")}
    project.build(env=installed).ran("c")
    done = project.nbdag("doctor", env=installed)
    assert (done.returncode, done.stdout) == (0, "")
    assert any(line.startswith("kernel `python3` of 1 task: cpython 3.") for line in done.stderr.splitlines())


@pytest.mark.slow
def test_what_was_read_before_an_edit_is_said_to_be_old(project: Project) -> None:
    """What is declared meanwhile is no longer complained of."""
    project.write(".gitignore", "/.nbdag/\n").write("more.txt", "").write("other.txt", "")
    _git(project, "init")
    project.notebook("d.py", "open('more.txt').read(), open('other.txt').read()")
    project.pipeline('[tasks.d]\nnotebook = "d.py"\n').build().ran("d")
    project.pipeline('[tasks.d]\nnotebook = "d.py"\ninputs = ["more.txt"]\n')
    read = "pipeline.toml:3: task `d` read `other.txt` when it last ran, before a change, and does not declare it"
    changed = "pipeline.toml:1: task `d` changed since its last result: input: more.txt added"
    hint = "  hint: build it, then run `nbdag doctor` again"
    assert _examine(project) == (1, f"{read}\n{hint}\n{changed}\n{hint}\n")


@pytest.mark.slow
def test_chance_is_blamed_when_other_causes_are_excluded(project: Project) -> None:
    """An undeclared file, the folder and the order of a set are told apart; then the code is read."""
    project.write(".gitignore", "/.nbdag/\n/*.out\n")
    _git(project, "init")
    codes = {
        "file": "import random\nopen('file.out', 'w').write(open('text.txt').read() + str(random.random()))",
        "folder": "import os\nopen('folder.out', 'w').write(os.getcwd())",
        "set": "open('set.out', 'w').write(' '.join({'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'}))",
        "dice": "from random import random\nopen('dice.out', 'w').write(str(random()))",
    }
    for name, code in codes.items():
        project.notebook(f"{name}.py", code)
    project.pipeline(
        "".join(f'[tasks.{name}]\nnotebook = "{name}.py"\noutputs = ["{name}.out"]\n' for name in codes)
    )
    project.build("--executor=inline").ran(*codes)
    lines = _examine(project, *codes)[1].splitlines()
    assert [line.removeprefix("  hint: ") for line in lines[3::2]] == [
        "it reads `text.txt`, which may have changed, and does not declare it: add it to `inputs`",
        "in one place it is the same each time: leave out folders, dates, and what the machine is called",
        "with PYTHONHASHSEED=0 it is the same each time: sort what comes from a set",
        "`random` in cell 1 has no seed: give it one",
    ]


def test_a_kernel_that_is_not_installed_and_a_broken_ray_are_found(project: Project) -> None:
    """What a build would stumble over is said beforehand."""
    project.write("broken/ray.py", "raise ImportError('no such symbol')\n").notebook("c.py", "print(1)")
    project.pipeline('[tasks.c]\nnotebook = "c.py"\nkernel = "cobol"\n')
    done = project.nbdag("doctor", env={"PYTHONPATH": str(project / "broken")})
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "pipeline.toml:3: task `c`: there is no kernel `cobol`"
    assert "Ray cannot be imported: ImportError: no such symbol" in lines
    assert (done.stdout.count("cobol"), done.stderr.splitlines()[3:]) == (1, ["2 things to change"])
    built = project.nbdag("build", "-k")
    assert (built.returncode, built.stderr.splitlines()[0]) == (2, f"error: {lines[0]}")


def test_packages_and_globs_that_are_not_there_are_said(project: Project) -> None:
    """A build warns and goes on, since both may be meant so; what a task above makes is there."""
    project.write(".gitignore", "/.nbdag/\n/*.txt\n").write("raw/a.csv", "").pipeline(
        """
        [software]
        packages = ["msgspec", "Clik"]

        [tasks.make]
        command = "touch made.txt"
        inputs = ["datta/*.csv"]
        outputs = ["made.txt"]

        [tasks.read]
        command = "touch read.txt"
        inputs = ["ma*.txt", "datta/*.csv", "raww/", "raw/"]
        outputs = ["read.txt"]
        """
    )
    lines = [
        "pipeline.toml: package `Clik` of `[software]` is not installed",
        "  hint: did you mean `click`?",
        "pipeline.toml:6: input `datta/*.csv` of task `make` matches no file",
        "pipeline.toml:11: input `raww/` of task `read` does not exist",
        "  hint: did you mean `raw`?",
    ]
    project.build().ran("make", "read").said(
        "".join(f"{line}\n" for line in lines).replace("pipe", "warning: pipe")
    )
    assert _examine(project) == (1, "".join(f"{line}\n" for line in lines))


def test_a_pipeline_that_cannot_be_read_is_an_error_of_its_own(project: Project) -> None:
    """Nothing can be said about tasks that nobody understands."""
    assert project.pipeline("[tasks.a]\nnotebok = 'x'\n").nbdag("doctor").returncode == 2


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("22 1 8:1 / / rw - ext4 /dev/sda rw\n", None),
        ("22 1 8:1 / / rw - ext4 /dev/sda rw\n30 22 0:4 / /home rw shared:1 - nfs4 host:/home rw\n", "nfs4"),
        ("30 22 0:4 / /home rw - nfs4 h:/ rw\n31 30 8:2 / /home/me/project rw - xfs /dev/sdb rw\n", None),
        ("30 22 0:4 / /home/m rw - nfs4 h:/ rw\n22 1 8:1 / / rw - ext4 /dev/sda rw\n", None),
    ],
)
def test_the_mount_nearest_above_the_project_decides(mounts: str, kind: str | None) -> None:
    """A network file system is found where the project is on it."""
    place = ProjectPaths(
        config="/home/me/project/pipeline.toml", root="/home/me/project", repository="/home/me/project"
    )
    found = [complaint.what for complaint in remote_file_system(place, mounts)]
    said = f"the project is on a {kind} file system, which reports no changes and may not support locks"
    assert found == ([said] if kind else [])


def test_an_output_that_differs_within_its_tolerance_is_no_fault(project: Project) -> None:
    """Results are compared as a replay compares them."""
    output = '{ words = { path = "words.txt", compare = "numeric", atol = 1e12 } }'
    text = HEALTHY.replace("cat text.txt", "date +%s%N").replace('["words.txt"]', output)
    project.pipeline(text).write(".gitignore", "/.nbdag/\n/words.txt\n")
    _git(project, "init")
    project.build().ran("words")
    assert "differs each time" not in _examine(project, "words")[1]
    project.edit("pipeline.toml", "atol = 1e12", "atol = 0").build()
    assert "`words.txt` of task `words` differs each time" in _examine(project, "words")[1]
