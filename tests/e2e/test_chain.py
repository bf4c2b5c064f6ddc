"""Edits of a chain of three notebooks, the first of which imports a module that imports another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.support.project import Project

PIPELINE = """
    [pipeline]
    name = "chain"

    [software]
    lockfiles = ["requirements.lock"]

    [tasks.a]
    notebook = "a.py"
    parameters = { level = 1 }
    outputs = ["a.txt"]

    [tasks.b]
    notebook = "b.py"
    inputs = { made = "a.txt", notes = "notes/*.txt" }
    outputs = ["b.txt"]

    [tasks.c]
    notebook = "c.py"
    inputs = ["b.txt"]
    outputs = ["c.txt"]
"""


@pytest.fixture
def chain(project: Project) -> Project:
    project.pipeline(PIPELINE)
    project.write("requirements.lock", "numpy==2.0\n").write("notes/one.txt", "1\n").write(
        "unrelated.py", "x = 1\n"
    )
    project.write("deeper.py", "def base():\n    return 40\n")
    project.write(
        "helper.py", "import deeper\n\n\ndef answer(level):\n    return deeper.base() + 2 * round(level)\n"
    )
    project.notebook(
        "a.py",
        """
        # markdown
        # The first
        """,
        "import helper  # not the other one",
        """
        # parameters
        level = 0
        """,
        "answer = helper.answer(level)\nprint(answer)",
        "open('a.txt', 'w').write(str(answer))",
    )
    project.notebook(
        "b.py",
        """
        # parameters
        inputs = {}
        """,
        "total = sum(int(open(note).read()) for note in inputs['notes'])",
        "open('b.txt', 'w').write(open(inputs['made']).read() + ' ' + str(min(total, 10)))",
    )
    project.notebook("c.py", "text = open('b.txt').read()", "open('c.txt', 'w').write(text.upper())")
    project.write(".gitignore", "/.nbdag/\n/[abc].txt\n__pycache__/\n").commit()
    project.build().ran("a", "b", "c")
    return project


def test_modules_count_as_far_as_they_are_imported_and_change_results(chain):
    """Directly or not; what comes out the same stops there, and a module that nobody imports is nothing."""
    chain.edit("helper.py", "2 * round(level)", "round(level) * 2").build().ran("a")
    chain.edit("helper.py", "round(level) * 2", "3 * round(level)").build().ran("a", "b", "c")
    assert chain.read("c.txt") == "43 1"
    chain.edit("deeper.py", "return 40", "return 39 + 1").build().ran("a")
    chain.edit("deeper.py", "39 + 1", "41").build().ran("a", "b", "c")
    assert chain.read("c.txt") == "44 1"
    chain.edit("unrelated.py", "x = 1", "x = 2")
    chain.edit("helper.py", "import deeper\n", "# what is below\nimport deeper\n").build().ran().restored()


def test_a_glob_counts_by_its_members(chain):
    """One that joins makes its reader stale, and what is below only if the reader's output changes."""
    chain.write("notes/two.txt", "20\n").build().ran("b", "c")
    chain.write("notes/three.txt", "300\n").build().ran("b")
    chain.remove("notes/three.txt").build().ran()
    assert chain.read("c.txt") == "42 10"


def test_what_is_no_code_counts_for_nothing(chain, tmp_path):
    """Text, layout, the notebook's format, ids, outputs and metadata; order and comments in the TOML; limits."""
    chain.edit("a.py", "# The first", "# The very first")
    chain.edit("a.py", "  # not the other one", "")
    chain.edit("a.py", "answer = helper.answer(level)", "answer = helper.answer(\n    level,\n)")
    chain.edit("a.py", "\nprint", "\n\n\nprint")
    chain.build().ran().restored()

    convert = [sys.executable, "-m", "jupytext", "--quiet", "--to", "ipynb", "a.py"]
    subprocess.run(convert, cwd=chain.root, check=True)
    chain.edit("pipeline.toml", '"a.py"', '"a.ipynb"').build().ran().restored()

    saved = nbformat.read(chain / "a.ipynb", as_version=4)
    saved.metadata["language_info"] = {"name": "python", "version": "3.99"}
    for number, cell in enumerate(saved.cells):
        cell.id = f"id-{number}"
        cell.metadata["collapsed"] = True
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text="shown\n")]
    nbformat.write(saved, chain / "a.ipynb")
    chain.build().ran().restored()

    chain.pipeline(PIPELINE.replace('"a.py"', '"a.ipynb"').replace("[pipeline]", "# reordered\n    [pipeline]"))
    text = chain.read("pipeline.toml")
    head, a, b, c = text.split("[tasks.")
    chain.write("pipeline.toml", f"{head}[tasks.{c}\n[tasks.{b}[tasks.{a}").build().ran().restored()
    chain.edit("pipeline.toml", 'notebook = "b.py"', 'notebook = "b.py"\ntimeout = "5m"\nretries = 2')
    chain.edit("pipeline.toml", 'notebook = "c.py"', 'notebook = "c.py"\nresources = { cpus = 2 }')
    chain.build().ran().restored()


def test_what_decides_a_result_makes_it_stale_and_going_back_restores_it(chain):
    """The type of a parameter, a lock file; on another branch and back nothing runs."""
    assert chain.edit("pipeline.toml", "level = 1", "level = 1.0").build().ran("a").reasons("a") == [
        "parameter: level 1 -> 1.0"
    ]
    chain.git("checkout", "-q", "-b", "other")
    chain.edit("requirements.lock", "2.0", "2.1").edit("helper.py", "2 *", "4 *").commit()
    assert "lockfile: requirements.lock changed" in chain.build().ran("a", "b", "c").reasons("c")
    chain.git("checkout", "-q", "main")
    chain.build().ran().restored("a", "b", "c")
    assert chain.read("c.txt") == "42 1"
    chain.git("checkout", "-q", "other")
    chain.build().ran().restored("a", "b", "c")
    assert chain.read("c.txt") == "44 1"


def test_what_is_above_is_read_in_pipeline_order(project: Project) -> None:
    """Forced runs of a task that goes through all above it, each with another hash seed, write one text."""
    project.pipeline(
        """
        [pipeline]
        name = "order"

        [tasks.a]
        command = "echo {n} > out/{n}.txt"
        matrix = { n = [10, 9, 3, 2, 1] }
        outputs = ["out/{n}.txt"]

        [tasks.sum]
        function = "steps:run"
        inputs = ["out/*.txt"]
        outputs = ["sum.txt"]
        """
    )
    project.write(
        "steps.py",
        """
        import nbmake_dag as nbdag

        def run():
            with open("sum.txt", "w") as file:
                file.write(" ".join(f"{name} {list(task.params)}" for name, task in nbdag.upstream().items()))
        """,
    )
    project.build().ran("a[n=10]", "a[n=9]", "a[n=3]", "a[n=2]", "a[n=1]", "sum")
    expected = " ".join(f"a[n={number}] ['n']" for number in (10, 9, 3, 2, 1))
    for _ in range(5):
        assert project.read("sum.txt") == expected
        project.build("sum", "--force").ran("sum")


@pytest.mark.parametrize(
    ("inputs", "injected"),
    [
        ('{ z = "made.txt", a = "ext.txt" }', 'inputs = {"z": "made.txt", "a": "ext.txt"}'),
        ('{ "0" = "ext.txt", "1" = "made.txt" }', 'inputs = {"0": "ext.txt", "1": "made.txt"}'),
        pytest.param('{ "my: data" = "ext.txt" }', 'inputs = {"my: data": "ext.txt"}', marks=pytest.mark.slow),
        pytest.param('["ext.txt", "made.txt"]', 'inputs = ["ext.txt", "made.txt"]', marks=pytest.mark.slow),
    ],
    ids=["in the order of their declaration", "names that are numbers", "a name with a colon", "a list"],
)
def test_the_notebook_that_is_shown_has_the_cell_that_was_injected(
    project: Project, inputs: str, injected: str
) -> None:
    """The copy beside the sources and the export of a hit have the very inputs that the run saw."""
    project.pipeline(
        f"""
        [pipeline]
        name = "shown"

        [tasks.make]
        command = "printf 1 > made.txt"
        outputs = ["made.txt"]

        [tasks.named]
        notebook = "named.py"
        inputs = {inputs}
        outputs = ["named.txt"]
        notebook_output = "shown/named.ipynb"
        """
    )
    project.write("ext.txt", "2\n").notebook(
        "named.py", "# parameters\ninputs = {}", "open('named.txt', 'w').write(repr(inputs))"
    )
    project.build()
    code = injected_cell(project.root / "shown" / "named.ipynb")
    assert code == f"# Parameters\n{injected}\n"
    namespace: dict[str, object] = {}
    exec(code, namespace)
    assert project.read("named.txt") == repr(namespace["inputs"])
    (project.root / "shown" / "named.ipynb").unlink()
    project.remove("named.txt")
    project.build().restored("named")
    assert injected_cell(project.root / "shown" / "named.ipynb") == code
    export = [sys.executable, "-m", "nbmake_dag", "export", "-o", "tree"]
    subprocess.run(export, cwd=project.root, check=True, stdout=subprocess.DEVNULL)
    [exported] = (project.root / "tree").rglob("*.ipynb")
    assert injected_cell(exported) == code


def injected_cell(path: Path) -> str:
    """Return the code of the cell that a notebook's run added."""
    cells = nbformat.read(path, 4).cells
    [code] = [cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", ())]
    return str(code)
