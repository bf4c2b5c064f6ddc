"""`nbdag init`: the notebooks of a folder become a pipeline that builds."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import tomli

from nbmake_dag.scaffold.config_text import task_text
from nbmake_dag.scaffold.draft import Draft
from tests.support.project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
MAKE = """
from pathlib import Path
Path("data").mkdir(exist_ok=True)
Path("data/numbers.txt").write_text("1 2 3")
open("notes.txt", "w").write("done")
"""
ADD = """
with open("data/numbers.txt") as file:
    total = sum(map(int, file.read().split()))
Path = __import__("pathlib").Path
Path("sum.txt").write_text(f"{total}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def _tasks(project: Project) -> dict[str, dict[str, object]]:
    done = project.nbdag("init")
    assert done.returncode == 0, done.stderr
    return tomli.loads(project.read("pipeline.toml"))["tasks"]


def _ipynb(*cells: str) -> str:
    code = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "source": text,
            "outputs": [],
            "execution_count": 1,
        }
        for number, text in enumerate(cells)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code})


def test_what_is_written_builds_in_the_order_of_the_data(project: Project) -> None:
    """The file is as it is shown here; a path that only one notebook names is a comment."""
    project.notebook("b_make.py", "# parameters\nrate = 0.5\nname = 'x'\nnothing = None", MAKE)
    project.write("a_add.ipynb", _ipynb(ADD)).write("requirements.txt", "numpy\n")
    done = project.nbdag("init")
    assert done.stdout.splitlines() == [
        "wrote pipeline.toml with 2 tasks",
        "declared 1 file that tasks make",
        "other files that their code names are comments: remove the `#` before those that are right",
        "added .nbdag/ to .gitignore",
    ]
    assert done.stderr == "\nhint: read it; `nbdag status` says what would run, `nbdag build` runs it\n"
    head, _, text = project.read("pipeline.toml").partition("\n\n")
    assert all(line.startswith("#") for line in head.splitlines())
    assert text == (
        '[pipeline]\nname = "project"\n'
        "\n"
        "# [software]              # what identifies the software; a change makes every task stale\n"
        '# lockfiles = ["requirements.txt"]\n'
        "\n"
        '[tasks.b_make]\nnotebook = "b_make.py"\n'
        '# parameters = { rate = 0.5, name = "x" }\n'
        "outputs = [\n"
        '    "data/numbers.txt",\n'
        '    # "notes.txt",\n'
        "]\n"
        "\n"
        '[tasks.a_add]\nnotebook = "a_add.ipynb"\n'
        'inputs = ["data/numbers.txt"]\n'
        '# outputs = ["sum.txt"]\n'
    )
    assert project.read(".gitignore") == "/.nbdag/\n"
    project.build().ran("b_make", "a_add")
    assert project.read("sum.txt") == "6"


@pytest.mark.parametrize(
    "cell", ["", "# parameters\noutputs = {'x': 'x.txt'}"], ids=["a list of paths", "a table of names"]
)
def test_each_suggestion_can_lose_its_comment_sign(project: Project, cell: str) -> None:
    """No key is then there twice."""
    project.notebook("make.py", cell, "open('x.txt', 'w'); open('note.txt', 'w'); open('a.txt'); open('b.txt')")
    project.notebook("use.py", "open('x.txt')").write("a.txt", "").nbdag("init")
    written = project.read("pipeline.toml")
    assert "note.txt" in written
    uncommented = re.sub(r'^( *)# (?=\w+ = |")', r"\1", written, flags=re.MULTILINE)
    assert uncommented != written
    task = tomli.loads(uncommented)["tasks"]["make"]
    assert task["inputs"] == ["a.txt", "b.txt"]
    assert task["outputs"] == ({"x": "x.txt"} if cell else ["x.txt", "note.txt"])


def test_nothing_is_overwritten(project: Project) -> None:
    """A second call ends with 2, says what to do, and leaves the file."""
    project.notebook("a.py", "1").nbdag("init")
    project.write("pipeline.toml", "mine").write(".gitignore", "x")
    done = project.nbdag("init")
    assert (done.returncode, "hint: " in done.stderr) == (2, True)
    assert (project.read("pipeline.toml"), project.read(".gitignore")) == ("mine", "x")


def test_a_folder_without_notebooks_gets_no_file(project: Project) -> None:
    """A hint says what a notebook is."""
    done = project.write("plain.py", "print(1)\n").nbdag("init")
    assert (done.returncode, done.stdout) == (2, "")
    assert [path.name for path in project.root.iterdir()] == ["plain.py"]


@pytest.mark.parametrize(
    "path",
    [
        ".hidden/a.py",
        ".ipynb_checkpoints/a.py",
        ".nbdag/a.py",
        "env/lib/a.py",
        "node_modules/a.py",
        "sub/__pycache__/a.py",
        "tests/test_a.py",
    ],
)
def test_files_that_are_not_the_users_notebooks_are_left_out(project: Project, path: str) -> None:
    """Hidden folders, virtual environments and tests are not looked into."""
    project.notebook(path, "1").notebook("real.py", "1").write("env/pyvenv.cfg", "")
    assert list(_tasks(project)) == ["real"]


JUPYTER = "jupyter:\n  kernelspec:\n    name: python3\n"
TEXTS = {
    "a.md": f"---\ntitle: A\n{JUPYTER}---\n\n```python\n1\n```\n",
    "b.py": "# ---\n" + "".join(f"# {line}\n" for line in JUPYTER.splitlines()) + "# ---\n\n# +\n1\n",
    "c.R": "# %%\n1\n",
    "c2.md": "---\njupytext:\n  text_representation:\n    format_name: myst\n---\n\n```{code-cell}\n1\n```\n",
    "d.Rmd": "Text.\n\n```{r}\n1\n```\n",
}


def test_texts_of_jupytext_are_notebooks(project: Project) -> None:
    """By their cells, their code or their header; other documents and scripts are none."""
    for path, text in TEXTS.items():
        project.write(path, text)
    project.write("README.md", "# A\n\n```python\n1\n```\n").write(
        "e.md", "---\ntitle: jupyter\n---\njupyter: x\n"
    )
    project.write("f.R", "1\n").write("g.Rmd", "Text.\n").write("a.ipynb", _ipynb("1")).write(
        "c.ipynb", _ipynb("1")
    )
    done = project.nbdag("init")
    written = project.read("pipeline.toml")
    found = re.findall(r"^(?:# )?notebook = \"(.+)\"", written, flags=re.MULTILINE)
    assert (done.returncode, sorted(found)) == (0, [*TEXTS])


@pytest.mark.parametrize(
    ("kernels", "lines"),
    [
        (
            {"python3": "python", "ir": "r"},
            ["[tasks.c]", 'notebook = "c.R"', 'kernel = "ir"           # the notebook names none'],
        ),
        ({"python3": "python"}, ["# a kernel for r is not installed here", "# [tasks.c]", '# notebook = "c.R"']),
    ],
)
def test_a_notebook_that_names_no_kernel_gets_one_of_its_language(
    kernels: dict[str, str], lines: list[str]
) -> None:
    """Where there is none, its task is a comment."""
    assert task_text(Draft(name="c", notebook="c.R", workdir="", kernel="", language="r"), kernels) == lines


def test_a_pair_of_text_and_ipynb_is_one_task(project: Project) -> None:
    """Jupytext keeps both; the text is what people edit and review."""
    project.notebook("a.py", "1").write("a.ipynb", _ipynb("1"))
    assert _tasks(project) == {"a": {"notebook": "a.py"}}


def test_a_file_that_cannot_be_read_is_said_and_left_out(project: Project) -> None:
    """The others become tasks."""
    done = project.notebook("a.py", "1").write("b.ipynb", "{").nbdag("init")
    assert (done.returncode, done.stderr.startswith("warning: b.ipynb cannot be read as a notebook: ")) == (
        0,
        True,
    )


def test_notebooks_of_one_name_get_their_folders_in_theirs(project: Project) -> None:
    """Also where names differ only in case."""
    project.notebook("x/clean.py", "1").notebook("y/Clean.py", "1").notebook("z/a=b.py", "1")
    assert {name: task["notebook"] for name, task in _tasks(project).items()} == {
        "clean": "x/clean.py",
        "y-Clean": "y/Clean.py",
        "a-b": "z/a=b.py",
    }


def test_a_notebook_that_runs_in_its_own_folder_says_so(project: Project) -> None:
    """Paths that lead somewhere only from there decide."""
    project.write("data/in.csv", "1")
    project.notebook("notebooks/a.py", "import pandas\npandas.read_csv('../data/in.csv')")
    assert _tasks(project) == {
        "a": {"notebook": "notebooks/a.py", "workdir": "notebooks", "inputs": ["data/in.csv"]}
    }


def test_two_writers_or_a_circle_are_suggestions(project: Project) -> None:
    """The file is no error, whatever the notebooks do."""
    project.notebook("a.py", "open('x.txt', 'w'); open('y.txt').read()")
    project.notebook("b.py", "open('y.txt', 'w'); open('x.txt').read()")
    assert _tasks(project) == {"a": {"notebook": "a.py"}, "b": {"notebook": "b.py"}}
    assert '# outputs = ["x.txt"]' in project.read("pipeline.toml")
    (project / "pipeline.toml").unlink()
    project.notebook("b.py", "open('x.txt', 'w')").notebook("c.py", "open('x.txt').read()")
    assert _tasks(project) == {name: {"notebook": f"{name}.py"} for name in ("a", "b", "c")}
    assert project.nbdag("build", "-n").returncode == 0


@pytest.mark.parametrize(
    ("write", "read"),
    [
        ("frame.to_csv('d/x.csv', index=False)", "pandas.read_csv('d/x.csv')"),
        ("frame.to_parquet(path='d/x.csv')", "pandas.read_parquet(path='d/x.csv')"),
        ("numpy.savetxt('d/x.csv', values)", "numpy.load('d/x.csv')"),
        ("figure.savefig(f'{folder}/x.csv')", "imread(Path('d') / 'x.csv')"),
        ("joblib.dump(model, os.path.join('d', 'x.csv'))", "joblib.load('d/' + 'x.csv')"),
        ("with Path('d', 'x.csv').open(mode='wb') as f: pass", "with gzip.open('d/x.csv') as f: pass"),
        ("Path('d').joinpath('x.csv').write_bytes(b'')", "(Path('d') / 'x.csv').read_bytes()"),
        ("shutil.copy('elsewhere.csv', paths['x'])", "open(paths['x'], encoding='utf-8')"),
        ("open('./d/x.csv', 'a')", "open(str(Path('d/x.csv')))"),
        ("open('d/x.csv', 'w')", "glob.glob('d/*.csv')"),
    ],
)
def test_the_usual_ways_to_name_a_file_are_understood(project: Project, write: str, read: str) -> None:
    """Calls of Python, pandas, numpy and others, with the ways to put a path together."""
    names = "folder = 'd'\npaths = {'x': 'd/x.csv'}\n"
    tasks = _tasks(project.notebook("a.py", names + write).notebook("b.py", names + read))
    assert tasks["a"]["outputs"] == ["d/x.csv"]
    assert tasks["b"]["inputs"] in (["d/x.csv"], ["d/*.csv"])


@pytest.mark.parametrize(
    "read",
    [
        "open(name).read()",
        "for name in names(): open(name)",
        "name = 'x.txt'\nname = compute()\nopen(name)",
        "name = 'x.txt'\n[open(name) for name in names()]",
        "if flag:\n    name = 'x.txt'\nelse:\n    name = 'y.txt'\nopen(name)",
        "def load(name):\n    return open(name)\nname = 'x.txt'\nload(other)",
        "open('x.txt', 'r+')",
        "open('x.txt', mode)",
        "print('x.txt')",
        "open('/x.txt')",
        "open('../x.txt')",
        "!cat x.txt",
        "shutil.make_archive('x.txt', 'zip')",
        "shutil.chown('x.txt', 'me')",
    ],
)
def test_what_only_running_would_tell_is_no_guess(project: Project, read: str) -> None:
    """A variable that changes, an unknown mode, a path outside."""
    project.notebook("a.py", "open('x.txt', 'w')").notebook("b.py", read)
    assert _tasks(project) == {"a": {"notebook": "a.py"}, "b": {"notebook": "b.py"}}


def test_a_copied_tree_is_a_folder(project: Project) -> None:
    """Both where it is read and where it is written."""
    project.write("raw/x.csv", "").notebook("a.py", "shutil.copytree('raw', 'clean')")
    project.notebook("b.py", "shutil.copytree(Path('clean'), 'final')")
    tasks = _tasks(project)
    assert tasks["a"] == {"notebook": "a.py", "inputs": ["raw/"], "outputs": ["clean/"]}
    assert tasks["b"]["inputs"] == ["clean/"]


@pytest.mark.parametrize(
    ("cells", "inputs", "outputs"),
    [
        (
            ["path = 'raw.csv'\ntext = open(path).read()", "path = 'clean.csv'\nopen(path, 'w').write(text)"],
            ["raw.csv"],
            ["clean.csv"],
        ),
        (["for name in ['raw.csv', 'more.csv']:\n    pandas.read_csv(f'{name}')"], ["raw.csv", "more.csv"], None),
        (["def load(name, kind='csv'):\n    return open(f'{name}.{kind}')", "load('raw')"], ["raw.csv"], None),
        (
            ["raw, clean = 'raw.csv', 'clean.csv'", "open(raw)", "open(clean, 'w')"],
            ["raw.csv"],
            ["clean.csv"],
        ),
        (
            ["with open('raw.csv') as path:\n    pass", "path = 'clean'\npath += '.csv'\nopen(path, 'w')"],
            ["raw.csv"],
            ["clean.csv"],
        ),
        (["try:\n    open('raw.csv')\nexcept OSError:\n    pass"], ["raw.csv"], None),
    ],
)
def test_a_variable_means_what_it_was_assigned_last(
    project: Project, cells: list[str], inputs: list[str], outputs: list[str] | None
) -> None:
    """One name is used for one file after the other, as most research notebooks do."""
    project.notebook("notebooks/a.py", *cells).write("notebooks/raw.csv", "").write("notebooks/more.csv", "")
    project.notebook("notebooks/b.py", "open('clean.csv')")
    found = _tasks(project)["a"]
    assert found.get("inputs") == [f"notebooks/{path}" for path in inputs]
    assert found.get("outputs") == (outputs and [f"notebooks/{path}" for path in outputs])
    assert project.nbdag("build", "-n").returncode == 0


def test_constants_of_a_module_of_the_project_are_known(project: Project) -> None:
    """Beside a notebook or above it, by its name or by theirs; one that cannot be parsed costs nothing."""
    constants = "from pathlib import Path\nROOT = Path(__file__).resolve().parent\nDATA = ROOT / 'data'\n"
    project.write("settings.py", constants + "RAW = DATA / 'raw.csv'\n").write("data/raw.csv", "1")
    project.write("nb/src/names.py", "END = 'end.csv'\n").write("nb/broken.py", "def (:")
    project.write(
        "nb/a.ipynb", _ipynb("from settings import RAW, DATA as d", "open(RAW); open(d / 'mid.csv', 'w')")
    )
    project.write("nb/b.ipynb", _ipynb("import settings as s, broken", "open(s.DATA / 'mid.csv'); x = s.f()"))
    project.write("nb/c.ipynb", _ipynb("from names import *\nopen(END, 'w')"))
    project.write("nb/d.ipynb", _ipynb("import names\nopen(names.END)\nnames = 3\nopen(names.END, 'w')"))
    tasks = _tasks(project)
    assert (tasks["a"]["inputs"], tasks["a"]["outputs"]) == (["data/raw.csv"], ["data/mid.csv"])
    assert tasks["b"]["inputs"] == ["data/mid.csv"]
    assert (tasks["c"]["outputs"], tasks["d"]["inputs"]) == (["nb/end.csv"], ["nb/end.csv"])


def test_names_with_wildcards_are_edges_that_can_be_planned(project: Project) -> None:
    """In folders as well; what is a pattern stays one."""
    project.write("run [1]/a.ipynb", _ipynb("open('x[1]?.csv', 'w')"))
    project.write("run [1]/b.ipynb", _ipynb("open('x[1]?.csv')", "import glob\nglob.glob('x*.csv')"))
    tasks = _tasks(project)
    assert tasks["a"]["outputs"] == ["run [[]1]/x[[]1][?].csv"]
    assert tasks["b"]["inputs"] == ["run [[]1]/x[[]1][?].csv", "run [[]1]/x*.csv"]
    assert project.nbdag("build", "-n").returncode == 0


@pytest.mark.parametrize("kernel", ["ir", "r-of-another-machine"])
def test_files_of_r_notebooks_are_edges(project: Project, kernel: str) -> None:
    """From R to R, and to Python; where the kernel is not installed, tasks and edges are comments."""
    metadata = {"kernelspec": {"name": kernel, "display_name": "R", "language": "R"}}
    for name, code in (
        ("a", "d <- read.csv('raw.csv')\nsaveRDS(d, 'mid.rds')"),
        ("b", "d <- readRDS('mid.rds')\nwrite.csv(d, file = 'end.csv')"),
    ):
        project.write(f"{name}.ipynb", json.dumps({**json.loads(_ipynb(code)), "metadata": metadata}))
    project.write("raw.csv", "").write("c.ipynb", _ipynb("open('end.csv')"))
    assert project.nbdag("init").returncode == 0
    text = project.read("pipeline.toml")
    for line in ('outputs = ["mid.rds"]', 'inputs = ["mid.rds"]', 'outputs = ["end.csv"]', 'inputs = ["end.csv"]'):
        assert line in text
    assert project.nbdag("build", "-n").returncode == 0


def test_a_notebook_belongs_to_its_own_folder(project: Project) -> None:
    """As in Jupyter: where its paths say nothing else, or the files lie beside it."""
    project.write("data/in.csv", "1").write("analysis/raw.csv", "1")
    project.notebook("analysis/beside.py", "open('raw.csv')")
    project.notebook("analysis/silent.py", "print(1)")
    project.notebook("analysis/new.py", "open('made.csv', 'w')")
    project.notebook("analysis/root.py", "open('data/in.csv')")
    project.notebook("analysis/nowhere.py", "open('results/made.csv', 'w')")
    found = {name: task.get("workdir") for name, task in _tasks(project).items()}
    in_their_own = dict.fromkeys(("beside", "silent", "new"), "analysis")
    assert found == {**in_their_own, "root": None, "nowhere": None}


def test_a_notebook_that_moves_to_the_root_belongs_there(project: Project) -> None:
    """It finds its files from either folder, and their paths are those of the root."""
    move = "if Path.cwd().name == 'notebooks':\n    os.chdir('..')"
    project.notebook("notebooks/a.py", move, "open('data/x.csv', 'w')").notebook(
        "notebooks/b.py", "open('data/x.csv')"
    )
    project.notebook("notebooks/c.py", "os.chdir('..')", "open('data/x.csv')").write("data/y.csv", "")
    tasks = _tasks(project)
    assert tasks["a"] == {"notebook": "notebooks/a.py", "outputs": ["data/x.csv"]}
    assert tasks["b"] == {"notebook": "notebooks/b.py", "inputs": ["data/x.csv"]}
    assert tasks["c"] == {"notebook": "notebooks/c.py", "workdir": "notebooks", "inputs": ["data/x.csv"]}


def _kernel(name: str, language: str) -> str:
    spec = {"name": name, "display_name": name, "language": language}
    return json.dumps({**json.loads(_ipynb("1")), "metadata": {"kernelspec": spec}})


def test_kernels_that_are_not_installed_do_not_keep_a_pipeline_from_being_planned(project: Project) -> None:
    """Python notebooks get the kernel that is there; a notebook in a language without kernel is a comment."""
    project.write("a.ipynb", _kernel("conda-env-x-py", "python")).write("b.ipynb", _kernel("python2", "python"))
    assert set(_tasks(project)) == {"a", "b"}
    assert 'kernel = "python3"           # not installed here: conda-env-x-py, python2' in project.read(
        "pipeline.toml"
    )
    assert project.nbdag("build", "-n").returncode == 0
    (project / "pipeline.toml").unlink()
    project.write("c.ipynb", _kernel("maxima", "maxima"))
    assert set(_tasks(project)) == {"a", "b"}
    assert "# the kernel `maxima` is not installed here\n# [tasks.c]\n" in project.read("pipeline.toml")
    assert project.nbdag("build", "-n").returncode == 0


def test_inputs_and_outputs_of_a_parameters_cell_keep_their_names(project: Project) -> None:
    """They are declared as a whole, where all of them are there, because they replace what the cell assigns."""
    project.notebook("a.py", "# parameters\nn = 3\noutputs = {'x': 'd/x.txt', 'y': f'd/{n}.txt'}")
    project.notebook("b.py", "# parameters\ninputs = {'x': 'd/x.txt'}")
    project.notebook("c.py", "# parameters\ninputs = {'x': 'd/x.txt', 'z': 'missing.txt'}")
    assert _tasks(project) == {
        "a": {"notebook": "a.py", "outputs": {"x": "d/x.txt", "y": "d/3.txt"}},
        "b": {"notebook": "b.py", "inputs": {"x": "d/x.txt"}},
        "c": {"notebook": "c.py"},
    }
    assert '# inputs = ["d/x.txt", "missing.txt"]' in project.read("pipeline.toml")


def test_gitignore_is_extended_once(project: Project) -> None:
    """What it says stays, and a line that is there is enough."""
    project.notebook("a.py", "1").write(".gitignore", "*.tmp").nbdag("init")
    assert project.read(".gitignore") == "*.tmp\n/.nbdag/\n"
    (project / "pipeline.toml").unlink()
    project.write(".gitignore", ".nbdag\n").nbdag("init")
    assert project.read(".gitignore") == ".nbdag\n"


@pytest.mark.parametrize("example", ["quickstart", "mnist-digits"])
def test_the_examples_get_a_pipeline_that_is_no_error(project: Project, example: str) -> None:
    """Every notebook is a task, and the edges between them are found."""
    shutil.copytree(EXAMPLES / example / "notebooks", project / "notebooks")
    tasks = _tasks(project)
    assert len(tasks) == len(list((project / "notebooks").iterdir()))
    assert sum("inputs" in task for task in tasks.values()) == {"quickstart": 1, "mnist-digits": 4}[example]
    assert project.nbdag("build", "-n").returncode == 0


def test_the_folder_and_the_file_can_be_named(project: Project) -> None:
    """`-C` and `-f` work before and after the command."""
    project.notebook("sub/a.py", "1")
    assert project.nbdag("-C", "sub", "init", "-f", "other.toml").returncode == 0
    assert (project / "sub/other.toml").exists()
    assert project.nbdag("init", "-C", "nowhere").returncode == 2


def test_a_lock_file_of_which_an_environment_can_be_made_is_suggested(project: Project) -> None:
    """One of uv is; a list of requirements without hashes is none."""
    project.notebook("a.py", "1")
    project.write("requirements.txt", "numpy\n").nbdag("init")
    assert "environments" not in project.read("pipeline.toml")
    project.remove("pipeline.toml").write("uv.lock", "version = 1\n").nbdag("init")
    assert '# [environments.main]     # or let nbdag make it; tasks then have `environment = "main"`\n' in (
        text := project.read("pipeline.toml")
    )
    assert '# lock = "uv.lock"\n' in text
